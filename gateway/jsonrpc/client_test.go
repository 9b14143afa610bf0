package jsonrpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
	"github.com/sinew-rpc/sinew/protocol"
)

// dial returns a client of what h serves on a socket. It has time: the machine may
// be busy.
func dial(t testing.TB, h http.Handler, o *jsonrpc.ClientOption) *jsonrpc.Client {
	t.Helper()
	var patient jsonrpc.ClientOption
	if o != nil {
		patient = *o
	}
	patient.RequestTimeout = 30 * time.Second
	c, err := jsonrpc.NewClient(on(t, h), &patient)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestClientAndHandlerTogether(t *testing.T) {
	s, arrived := served(t)
	c := dial(t, handler(t, s, option()), nil)
	ctx := t.Context()
	var sum int
	if err := c.Call(ctx, "subtract", []int{42, 23}, &sum); err != nil || sum != 19 {
		t.Errorf("by position: %d, %v", sum, err)
	}
	if err := c.Call(ctx, "Spec.Subtract", Operands{42, 23}, &sum); err != nil || sum != 19 {
		t.Errorf("by name: %d, %v", sum, err)
	}
	var data []any
	if err := c.Call(ctx, "get_data", nil, &data); err != nil || fmt.Sprint(data) != "[hello 5]" {
		t.Errorf("without params: %v, %v", data, err)
	}
	if err := c.Call(ctx, "get_data", nil, nil); err != nil {
		t.Errorf("without a result: %v", err)
	}
	var raw json.RawMessage
	if err := c.Call(ctx, "Raw.Echo", json.RawMessage(`[9007199254740993]`), &raw); err != nil || string(raw) != "9007199254740993" {
		t.Errorf("raw: %s, %v", raw, err)
	}
	if err := c.Notify(ctx, "update", []int{1, 2}); err != nil {
		t.Errorf("Notify: %v", err)
	}
	if got := <-arrived; got != "Update [1,2]" {
		t.Errorf("arrived: %s", got)
	}
}

func TestClientBatch(t *testing.T) {
	s, arrived := served(t)
	c := dial(t, handler(t, s, option()), nil)
	var difference, sum int
	calls := []*jsonrpc.BatchCall{
		{Method: "subtract", Params: []int{42, 23}, Result: &difference},
		{Method: "notify_hello", Params: []int{7}, Notify: true},
		{Method: "none", Result: new(int)},
		{Method: "sum", Params: []int{1, 2, 4}, Result: &sum},
	}
	if err := c.Batch(t.Context(), calls...); err != nil {
		t.Fatal(err)
	}
	if difference != 19 || sum != 7 || calls[0].Err != nil || calls[1].Err != nil || calls[3].Err != nil {
		t.Errorf("%d, %d, %v, %v, %v", difference, sum, calls[0].Err, calls[1].Err, calls[3].Err)
	}
	wantError(t, calls[2].Err, protocol.Unimplemented, protocol.Refused)
	if got := <-arrived; got != "NotifyHello 7" {
		t.Errorf("arrived: %s", got)
	}
	if err := c.Batch(t.Context(), &jsonrpc.BatchCall{Method: "notify_sum", Params: []int{1}, Notify: true}); err != nil {
		t.Errorf("notifications alone: %v", err)
	}
	<-arrived
	if err := c.Batch(t.Context()); err != nil {
		t.Errorf("nothing: %v", err)
	}
	one := dial(t, handler(t, s, &jsonrpc.Option{MaxBatch: -1}), nil)
	err := one.Batch(t.Context(), calls...)
	wantError(t, err, protocol.InvalidArgument, protocol.Refused)
	if calls[0].Err != err || calls[3].Err != err {
		t.Errorf("a batch that was refused: %v, %v", calls[0].Err, calls[3].Err)
	}
}

func wantError(t testing.TB, err error, code protocol.Code, outcome protocol.Outcome) {
	t.Helper()
	if protocol.CodeOf(err) != code || protocol.OutcomeOf(err) != outcome {
		t.Errorf("%v (%v), want %v (%v)", err, protocol.OutcomeOf(err), code, outcome)
	}
}

func TestErrorsOfSinewArriveAsTheyWere(t *testing.T) {
	s, _ := served(t)
	c := dial(t, handler(t, s, nil), nil)
	err := c.Call(t.Context(), "Fail.With", &protocol.Error{Code: protocol.NotFound, Message: "no order 7", RetryAfter: time.Second}, nil)
	wantError(t, err, protocol.NotFound, protocol.Ran)
	var e *protocol.Error
	var said *jsonrpc.Error
	if !errors.As(err, &e) || e.Message != "no order 7" || e.RetryAfter != time.Second || !errors.As(err, &said) || said.Code != -32005 {
		t.Errorf("%+v, %+v", e, said)
	}
	wantError(t, c.Call(t.Context(), "None.Such", nil, nil), protocol.Unimplemented, protocol.Refused)
	wantError(t, c.Call(t.Context(), "Text.Length", []int{5}, nil), protocol.InvalidArgument, protocol.Refused)
	wantError(t, c.Call(t.Context(), "Fail.Panic", nil, nil), protocol.Internal, protocol.Ran)
	var notInt []string
	wantError(t, c.Call(t.Context(), "Text.Length", []string{"x"}, &notInt), protocol.Internal, protocol.Ran)
	for _, params := range []any{7, "x", true, make(chan int), json.RawMessage("null")} {
		wantError(t, c.Call(t.Context(), "Raw.Echo", params, nil), protocol.InvalidArgument, protocol.NotSent)
	}
}

func TestClientTakesTheLargestBound(t *testing.T) {
	c := dial(t, says(http.StatusOK, `{"jsonrpc":"2.0","result":7,"id":ID}`), &jsonrpc.ClientOption{MaxResponse: math.MaxInt64})
	var result int
	if err := c.Call(t.Context(), "m", nil, &result); err != nil || result != 7 {
		t.Errorf("%d, %v", result, err)
	}
}

// says is a server that answers with a text in which ID stands for the request's
// id.
func says(status int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ ID json.RawMessage }
		if body, err := io.ReadAll(r.Body); err == nil {
			_ = json.Unmarshal(body, &q) // a batch has no id
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(text, "ID", string(q.ID)))
	})
}

func TestResponsesOfOthers(t *testing.T) {
	for _, c := range []struct {
		name    string
		status  int
		text    string
		code    protocol.Code
		outcome protocol.Outcome
	}{
		{"members that are not the specification's", 200, `{"jsonrpc":"2.0","id":ID,"result":1,"took":3}`, protocol.OK, protocol.Ran},
		{"error null beside a result", 200, `{"jsonrpc":"2.0","id":ID,"result":1,"error":null}`, protocol.OK, protocol.Ran},
		{"an empty result beside an error, with status 500", 500, `{"jsonrpc":"2.0","id":ID,"result":{},"error":{"code":-32000,"message":"no"}}`, protocol.Unknown, protocol.Ran},
		{"an application's error", 200, `{"jsonrpc":"2.0","id":ID,"error":{"code":7,"message":"no","data":{"code":3}}}`, protocol.Unknown, protocol.Ran},
		{"method not found", 200, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"no"}}`, protocol.Unimplemented, protocol.Refused},
		{"invalid params", 200, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"no"}}`, protocol.InvalidArgument, protocol.Ran},
		{"a parse error", 200, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}`, protocol.InvalidArgument, protocol.Refused},
		{"not found", 404, `<html>`, protocol.Unimplemented, protocol.Refused},
		{"unauthorised", 401, ``, protocol.Unauthenticated, protocol.Refused},
		{"forbidden", 403, ``, protocol.PermissionDenied, protocol.Refused},
		{"a bad gateway", 502, `bad`, protocol.Unavailable, protocol.MaybeRun},
		{"a redirection", 307, ``, protocol.Unknown, protocol.MaybeRun},
		{"nothing", 200, ``, protocol.Internal, protocol.MaybeRun},
		{"no content", 204, ``, protocol.Internal, protocol.MaybeRun},
		{"no JSON", 200, `<html>`, protocol.Internal, protocol.MaybeRun},
		{"a number", 200, `1`, protocol.Internal, protocol.MaybeRun},
		{"an array", 200, `[{"jsonrpc":"2.0","id":ID,"result":1}]`, protocol.Internal, protocol.MaybeRun},
		{"no version", 200, `{"id":ID,"result":1}`, protocol.Internal, protocol.MaybeRun},
		{"neither result nor error", 200, `{"jsonrpc":"2.0","id":ID}`, protocol.Internal, protocol.MaybeRun},
		{"an error that is a string", 200, `{"jsonrpc":"2.0","id":ID,"error":"no"}`, protocol.Internal, protocol.MaybeRun},
		{"a code that is a fraction", 200, `{"jsonrpc":"2.0","id":ID,"error":{"code":1.5,"message":"no"}}`, protocol.Internal, protocol.MaybeRun},
		{"a message that is a number", 200, `{"jsonrpc":"2.0","id":ID,"error":{"code":1,"message":2}}`, protocol.Internal, protocol.MaybeRun},
		{"another id", 200, `{"jsonrpc":"2.0","id":4711,"result":1}`, protocol.Internal, protocol.MaybeRun},
		{"no id", 200, `{"jsonrpc":"2.0","result":1}`, protocol.Internal, protocol.MaybeRun},
		{"the id as a string", 200, `{"jsonrpc":"2.0","id":"ID","result":1}`, protocol.Internal, protocol.MaybeRun},
		{"more than may be read", 200, `"` + strings.Repeat("x", 2000) + `"`, protocol.ResourceExhausted, protocol.MaybeRun},
	} {
		client := dial(t, says(c.status, c.text), &jsonrpc.ClientOption{MaxResponse: 1000})
		var result int
		err := client.Call(t.Context(), "a", nil, &result)
		if protocol.CodeOf(err) != c.code || protocol.OutcomeOf(err) != c.outcome || err == nil && result != 1 {
			t.Errorf("%s: %d, %v (%v)", c.name, result, err, protocol.OutcomeOf(err))
		}
	}
}

func TestBatchesThatAreAnsweredAmiss(t *testing.T) {
	for name, text := range map[string]string{
		"one result":        `{"jsonrpc":"2.0","id":1,"result":1}`,
		"an unknown id":     `[{"jsonrpc":"2.0","id":1,"result":1},{"jsonrpc":"2.0","id":3,"result":1}]`,
		"an id twice":       `[{"jsonrpc":"2.0","id":1,"result":1},{"jsonrpc":"2.0","id":1,"result":2}]`,
		"a number":          `[1]`,
		"something unknown": `[{"jsonrpc":"2.0","id":1.0,"result":1}]`,
	} {
		client := dial(t, says(200, text), nil)
		err := client.Batch(t.Context(), &jsonrpc.BatchCall{Method: "a"}, &jsonrpc.BatchCall{Method: "b"})
		if protocol.CodeOf(err) != protocol.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	client := dial(t, says(200, `[{"jsonrpc":"2.0","id":2,"result":1}]`), nil)
	first, second := &jsonrpc.BatchCall{Method: "a"}, &jsonrpc.BatchCall{Method: "b"}
	if err := client.Batch(t.Context(), first, second); err != nil || second.Err != nil {
		t.Errorf("one of two answers: %v, %v", err, second.Err)
	}
	wantError(t, first.Err, protocol.Internal, protocol.MaybeRun)
}

func TestClientIdsArePairwiseDifferentAndFitAnInt32(t *testing.T) {
	var mu sync.Mutex
	pending := make(map[int64]bool)
	release := make(chan struct{})
	var arrived atomic.Int32
	c := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ ID int64 }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		mu.Lock()
		if pending[q.ID] || q.ID < 1 || q.ID > 1<<31-1 {
			t.Errorf("the id %d", q.ID)
		}
		pending[q.ID] = true
		mu.Unlock()
		if arrived.Add(1) == 20 {
			close(release)
		}
		<-release
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%d,"result":%[1]d}`, q.ID)
	}), nil)
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if err := c.Call(context.Background(), "a", nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
}

func TestClientSaysWhatBecameOfTheRequest(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	c, err := jsonrpc.NewClient("http://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantError(t, c.Call(t.Context(), "a", nil, nil), protocol.Unavailable, protocol.NotSent)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, c.Call(ended, "a", nil, nil), protocol.Canceled, protocol.NotSent)

	leave := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := time.ParseDuration(r.Header.Get("Timeout")); err != nil {
			t.Errorf("the header Timeout: %v", err)
		}
		<-leave
	}))
	defer slow.Close()
	defer close(leave)
	c, err = jsonrpc.NewClient(slow.URL, &jsonrpc.ClientOption{RequestTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantError(t, c.Call(t.Context(), "a", nil, nil), protocol.DeadlineExceeded, protocol.MaybeRun)

	cut := dial(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), nil)
	wantError(t, cut.Call(t.Context(), "a", nil, nil), protocol.Unavailable, protocol.MaybeRun)
}

func TestNotifyTellsOnlyOfTheRequestAsAWhole(t *testing.T) {
	s, _ := served(t)
	c := dial(t, handler(t, s, nil), nil)
	if err := c.Notify(t.Context(), "None.Such", nil); err != nil {
		t.Errorf("an unknown method: %v", err)
	}
	chatty := dial(t, says(200, `{"jsonrpc":"2.0","id":null,"result":1}`), nil)
	if err := chatty.Notify(t.Context(), "a", nil); err != nil {
		t.Errorf("an answer that nobody asked for: %v", err)
	}
	refusing := dial(t, says(200, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}`), nil)
	wantError(t, refusing.Notify(t.Context(), "a", nil), protocol.InvalidArgument, protocol.Refused)
	away := dial(t, says(503, ``), nil)
	wantError(t, away.Notify(t.Context(), "a", nil), protocol.Unavailable, protocol.MaybeRun)
}

func TestPrepareAndAnHTTPClientOfOnesOwn(t *testing.T) {
	s, _ := served(t)
	own := &http.Client{Transport: new(http.Transport)}
	defer own.CloseIdleConnections()
	c := dial(t, handler(t, s, nil), &jsonrpc.ClientOption{
		HTTPClient: own,
		Prepare:    func(r *http.Request) { r.Header.Set("Authorization", "Bearer hello01") },
	})
	var auth string
	if err := c.Call(t.Context(), "Meta.Swap", nil, &auth); err != nil || auth != "hello01" {
		t.Errorf("%q, %v", auth, err)
	}
}

func TestNewClientChecksItsArguments(t *testing.T) {
	for _, endpoint := range []string{"", "host:80", "ftp://host/", "http://", "http://a b/", ":"} {
		if _, err := jsonrpc.NewClient(endpoint, nil); err == nil {
			t.Errorf("endpoint %q", endpoint)
		}
	}
	if _, err := jsonrpc.NewClient("http://host", &jsonrpc.ClientOption{MaxResponse: -1}); err == nil || !strings.Contains(err.Error(), "MaxResponse") {
		t.Errorf("MaxResponse: %v", err)
	}
}

// observed is a transport that a program has put round that of package net/http.
type observed struct{ http.RoundTripper }

// Programs put transports of their own in http.DefaultTransport's place.
func TestClientOfAProgramWithATransportOfItsOwn(t *testing.T) {
	common := http.DefaultTransport
	defer func() { http.DefaultTransport = common }()
	http.DefaultTransport = observed{common}
	s, _ := served(t)
	c := dial(t, handler(t, s, option()), nil)
	var sum int
	if err := c.Call(t.Context(), "subtract", []int{42, 23}, &sum); err != nil || sum != 19 {
		t.Errorf("%d, %v", sum, err)
	}
}
