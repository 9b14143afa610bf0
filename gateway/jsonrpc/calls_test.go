package jsonrpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
	"github.com/sinew-rpc/sinew/protocol"
)

func TestErrorsHaveCodesAndSayTheRest(t *testing.T) {
	s, _ := served(t)
	h := handler(t, s, nil)
	for _, c := range []struct{ name, method, params, want string }{
		{"no such service", "None.Such", `{}`, `{"code":-32601,"message":"Method not found","data":{"code":"unimplemented","message":"*","outcome":"Refused"}}`},
		{"no such method", "Raw.Such", `{}`, `{"code":-32601,"message":"Method not found","data":{"code":"unimplemented","message":"*","outcome":"Refused"}}`},
		{"a service of the framework", "sinew.Health.Check", `{}`, `{"code":-32601,"message":"Method not found","data":{"code":"unimplemented","message":"*","outcome":"NotSent"}}`},
		{"no service", "Raw", `{}`, `{"code":-32601,"message":"Method not found"}`},
		{"no method", "Raw.", `{}`, `{"code":-32601,"message":"Method not found"}`},
		{"params that do not fit", "Text.Length", `[5]`, `{"code":-32602,"message":"Invalid params","data":{"code":"invalid_argument","message":"*","outcome":"Refused"}}`},
		{"a panic", "Fail.Panic", `{}`, `{"code":-32603,"message":"Internal error","data":{"code":"internal","message":"*","outcome":"Ran"}}`},
		{"not found", "Fail.With", `{"Code":5,"Message":"no order <7>"}`, `{"code":-32005,"message":"no order <7>","data":{"code":"not_found","message":"no order <7>","outcome":"Ran"}}`},
		{"unauthenticated", "Fail.With", `{"Code":16,"Message":"who?"}`, `{"code":-32016,"message":"who?","data":{"code":"unauthenticated","message":"who?","outcome":"Ran"}}`},
		{"unimplemented by the method", "Fail.With", `{"Code":12,"Message":"later"}`, `{"code":-32012,"message":"later","data":{"code":"unimplemented","message":"later","outcome":"Ran"}}`},
		{"with a time to come back", "Fail.With", `{"Code":8,"Message":"full","RetryAfter":250000000}`, `{"code":-32008,"message":"full","data":{"code":"resource_exhausted","message":"full","outcome":"Ran","retryAfterMs":250}}`},
	} {
		got := answer(t, h, `{"jsonrpc":"2.0","method":"`+c.method+`","params":`+c.params+`,"id":1}`)
		want := `{"jsonrpc":"2.0","error":` + c.want + `,"id":1}`
		if before, after, open := strings.Cut(want, "*"); got != want && !(open && strings.HasPrefix(got, before) && strings.HasSuffix(got, after)) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

func TestEveryErrorCodeStaysWithinTheServersRange(t *testing.T) {
	s, _ := served(t)
	h := handler(t, s, nil)
	seen := make(map[int]int)
	for code := 1; code <= 16; code++ {
		var res struct{ Error jsonrpc.Error }
		body := answer(t, h, `{"jsonrpc":"2.0","method":"Fail.With","params":{"Code":`+string(marshal(t, code))+`},"id":1}`)
		if err := json.Unmarshal([]byte(body), &res); err != nil {
			t.Fatal(err)
		}
		got := res.Error.Code
		seen[got]++
		if reserved := got == jsonrpc.InvalidParams || got == jsonrpc.InternalError; !reserved && (got > -32000 || got < -32099) {
			t.Errorf("code %d became %d", code, got)
		}
	}
	if len(seen) != 16 {
		t.Errorf("sixteen codes became %d: %v", len(seen), seen)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHeadersPassBothWays(t *testing.T) {
	s, _ := served(t)
	h := handler(t, s, nil)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"jsonrpc":"2.0","method":"Meta.Swap","id":1}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer hello01")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if want := `{"jsonrpc":"2.0","result":"hello01","id":1}`; w.Body.String() != want || w.Header().Get("K") != "v" {
		t.Errorf("%s, header %v", w.Body, w.Header())
	}
}

func TestTheCallEndsWithItsCallerAndWithItsTime(t *testing.T) {
	for _, c := range []struct {
		name, timeout string
		leaves        bool
		want          string
	}{
		{"its time is up", "20ms", false, `"code":-32004`},
		{"its caller leaves", "", true, `"code":-32001`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, arrived := served(t)
				h := handler(t, s, nil)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(`{"jsonrpc":"2.0","method":"Slow.Wait","id":1}`))
				r.Header.Set("Content-Type", "application/json")
				if c.timeout != "" {
					r.Header.Set("Timeout", c.timeout)
				}
				w := httptest.NewRecorder()
				begun, answered := time.Now(), make(chan struct{})
				go func() {
					defer close(answered)
					h.ServeHTTP(w, r)
				}()
				<-arrived // entered
				if c.leaves {
					leave()
				}
				<-arrived // ended
				<-answered
				if !strings.Contains(w.Body.String(), c.want) {
					t.Errorf("%s", w.Body)
				}
				if took := time.Since(begun); !c.leaves && took != 20*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestANotificationStaysWhenItsSenderLeaves(t *testing.T) {
	s, arrived := served(t)
	h := handler(t, s, option())
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(`{"jsonrpc":"2.0","method":"update","params":[1,2]}`))
	r.Header.Set("Content-Type", "application/json")
	cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := <-arrived; got != "Update [1,2]" || w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("%q, status %d, %s", got, w.Code, w.Body)
	}
}

// backend answers as its function says, with no services.
type backend func(ctx context.Context, m *protocol.Message) (*protocol.Message, error)

func (b backend) Do(ctx context.Context, m *protocol.Message) (*protocol.Message, error) {
	return b(ctx, m)
}

func (backend) Services(context.Context) ([]protocol.ServiceInfo, error) { return nil, nil }

func TestABatchRunsSomeAtATimeAndIsAnsweredInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		h := handler(t, backend(func(_ context.Context, m *protocol.Message) (*protocol.Message, error) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return &protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON}, Body: m.Body}, nil
		}), &jsonrpc.Option{BatchConcurrency: 4})
		var b bytes.Buffer
		want := ""
		for i := range 10 {
			n := string(marshal(t, i))
			b.WriteString(`,{"jsonrpc":"2.0","method":"A.B","params":[` + n + `],"id":` + n + `}`)
			want += `,{"jsonrpc":"2.0","result":` + n + `,"id":` + n + `}`
		}
		begun := time.Now()
		got := answer(t, h, "["+b.String()[1:]+"]")
		if got != "["+want[1:]+"]" {
			t.Errorf("%s\nwant\n[%s]", got, want[1:])
		}
		if took := time.Since(begun); most.Load() != 4 || took != 3*time.Second {
			t.Errorf("%d ran at once, for %v", most.Load(), took)
		}
	})
}

// What the user gave runs on the batch's own goroutines: its panic must not end the
// process.
func TestAPanicOfTheUsersCostsOneCallOfABatch(t *testing.T) {
	h := handler(t, backend(func(_ context.Context, m *protocol.Message) (*protocol.Message, error) {
		return &protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON}, Body: []byte("1")}, nil
	}), &jsonrpc.Option{Resolve: func(_ *http.Request, name string) (string, string, bool) {
		if name == "spilt ink" {
			panic(name)
		}
		return "A", "B", true
	}})
	const spoilt = `{"jsonrpc":"2.0","method":"spilt ink","id":1}`
	const told = `{"jsonrpc":"2.0","error":{"code":-32603,"message":"Internal error","data":"the gateway panicked; its log has the stack"},"id":1}`
	got := answer(t, h, `[`+spoilt+`,{"jsonrpc":"2.0","method":"spilt ink"},{"jsonrpc":"2.0","method":"A.B","id":2}]`)
	if want := `[` + told + `,{"jsonrpc":"2.0","result":1,"id":2}]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := answer(t, h, spoilt); got != told {
		t.Errorf("%s, want %s", got, told)
	}
}

// An array of millions of params takes little more room than its text.
func TestParamsByPositionAreNotBlownUp(t *testing.T) {
	s, _ := served(t)
	h := handler(t, s, option())
	body := `{"jsonrpc":"2.0","method":"subtract","params":[` + strings.Repeat("0,", 1<<20) + `0],"id":1}`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := answer(t, h, body)
	runtime.ReadMemStats(&after)
	if !strings.Contains(got, "more params by position than the 2 that the method takes") {
		t.Errorf("answered %.200s", got)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > uint64(8*len(body)) {
		t.Errorf("%d bytes were allocated for a body of %d", taken, len(body))
	}
}

func TestRepliesThatCannotBePassedOn(t *testing.T) {
	zipped, err := protocol.Compress(protocol.CompressTypeGzip, nil, []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		res  protocol.Message
		want string
	}{
		{"an empty body", protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON}}, `"result":null`},
		{"compressed", protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, CompressType: protocol.CompressTypeGzip}, Body: zipped}, `"result":{"a":1}`},
		{"no JSON", protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON}, Body: []byte(`1},{`)}, `"code":-32603`},
		{"msgpack", protocol.Message{Body: []byte{1}}, `"code":-32603`},
		{"broken compression", protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, CompressType: protocol.CompressTypeGzip}, Body: []byte("x")}, `"code":-32603`},
		{"metadata that is no header", protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, MetaData: map[string]string{"k": "\x01"}}, Body: []byte(`1`)}, `"code":-32603`},
	} {
		h := handler(t, backend(func(context.Context, *protocol.Message) (*protocol.Message, error) { return c.res.Clone(), nil }), nil)
		got := answer(t, h, `{"jsonrpc":"2.0","method":"A.B","id":1}`)
		if !strings.Contains(got, c.want) || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := jsonrpc.NewHandler(nil, nil); err == nil {
		t.Error("without a gateway")
	}
	for field, o := range map[string]*jsonrpc.Option{
		"MaxReply":         {MaxReply: -1},
		"MaxDepth":         {MaxDepth: protocol.MaxDepth + 1},
		"BatchConcurrency": {BatchConcurrency: -1},
	} {
		s, _ := served(t)
		g := gatewayTo(t, s)
		if _, err := jsonrpc.NewHandler(g, o); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// A call has a part of its body, and all of it is held until the call has ended:
// the server beside the gateway counts that part alone.
func TestBodiesOfCallsBeyondTheirTimeAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := served(t)
		release := make(chan struct{})
		handle(t, s, "Slow.Stuck", func(context.Context, *struct{}) (*struct{}, error) {
			<-release
			return new(struct{}), nil
		})
		g, err := gateway.New(s, &gateway.Option{MaxBytesInFlight: 100 << 10, RequestTimeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		h, err := jsonrpc.NewHandler(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		body := func(requests ...string) string {
			return "[" + strings.Join(requests, ",") + strings.Repeat(" ", 40<<10) + "]"
		}
		stuck := `{"jsonrpc":"2.0","method":"Slow.Stuck","params":{},"id":1}`
		notice := `{"jsonrpc":"2.0","method":"Slow.Stuck","params":{}}`
		if w := post(t, h, body(stuck, stuck, notice)); w.Code != http.StatusOK {
			t.Errorf("answered %d %s", w.Code, w.Body)
		}
		if w := post(t, h, body(stuck)); w.Code != http.StatusTooManyRequests {
			t.Errorf("with calls beyond their time, answered %d %s", w.Code, w.Body)
		}
		close(release)
		synctest.Wait()
		if w := post(t, h, body(stuck)); w.Code != http.StatusOK {
			t.Errorf("with the calls ended, answered %d %s", w.Code, w.Body)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
}
