package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
)

// protocolsOfHTTP are those that a gateway speaks.
var protocolsOfHTTP = map[string]func(*http.Protocols){
	"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) },
	"HTTP/2":   func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
}

// caller returns a client of s that speaks as choose says.
func (s *served) caller(t *testing.T, choose func(*http.Protocols)) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	choose(protocols)
	transport := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.network.Dial(ctx, "gateway")
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// dribble is a body that comes in pieces, with a pause before each but the first.
// After the last it waits for its end, if it has one.
type dribble struct {
	pieces []string
	pause  time.Duration
	stalls bool
	begun  bool
	closed chan struct{}
	close  func() // closes closed, once
}

func newDribble(pause time.Duration, stalls bool, pieces ...string) *dribble {
	d := &dribble{pieces: pieces, pause: pause, stalls: stalls, closed: make(chan struct{})}
	d.close = sync.OnceFunc(func() { close(d.closed) })
	return d
}

// Read implements io.Reader.
func (d *dribble) Read(p []byte) (int, error) {
	if len(d.pieces) == 0 {
		if d.stalls {
			<-d.closed
			return 0, errors.New("given up")
		}
		return 0, io.EOF
	}
	if d.begun {
		time.Sleep(d.pause)
	}
	n := copy(p, d.pieces[0])
	if d.pieces[0] = d.pieces[0][n:]; d.pieces[0] == "" {
		d.pieces, d.begun = d.pieces[1:], true
	} else {
		d.begun = false // the rest of a piece comes at once
	}
	return n, nil
}

// Close implements io.Closer.
func (d *dribble) Close() error {
	d.close()
	return nil
}

// send posts body as JSON, without a Content-Length.
func send(t *testing.T, client *http.Client, path string, body io.Reader, headers ...string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://gateway"+path, body)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	if d, stalls := body.(*dribble); stalls { // HTTP/1.1 would wait for it
		defer d.close()
	}
	return res.StatusCode, bodyOf(t, res)
}

// beginningOfBomb is the beginning of a gzip stream, that inflates to a little more
// than n bytes.
func beginningOfBomb(t *testing.T, n int64) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := io.Copy(z, &spaces{left: n}); err != nil {
		t.Fatal(err)
	}
	if err := z.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Whoever sends a few bytes of gzip and is silent then has the room of these bytes.
func TestStalledBodiesThatInflateLeaveRoom(t *testing.T) {
	bomb := beginningOfBomb(t, 8<<20+64<<10)
	for name, choose := range protocolsOfHTTP {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGateway(t, "beside", newArith(), nil)
				if err := g.Bind("GET /sums/{A}/{B}", "Arith.Add"); err != nil {
					t.Fatal(err)
				}
				client := startServer(t, g, &gateway.ServerOption{PlainHTTP2: true}).caller(t, choose)
				answered := make(chan string, 4)
				for range cap(answered) {
					go func() {
						status, text := send(t, client, "/A/B", newDribble(0, true, bomb), "Content-Encoding", "gzip")
						answered <- fmt.Sprint(status, text)
					}()
				}
				synctest.Wait()
				if status, text := send(t, client, "/Arith/Add", strings.NewReader(`{"A":1,"B":2}`)); status != http.StatusOK {
					t.Errorf("a call was answered %d %s", status, text)
				}
				res, err := client.Get("http://gateway/sums/3/4")
				if err != nil {
					t.Fatal(err)
				}
				expect(t, res, http.StatusOK, `{"C":7}`)
				res.Body.Close()
				for range cap(answered) {
					if got := <-answered; got != `408{"code":"deadline_exceeded","message":"the body did not arrive in time"}` {
						t.Errorf("a body that stalls was answered %s", got)
					}
				}
			})
		})
	}
}

// A request without a body is served where no byte is left.
func TestNoBodyNeedsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, "beside", newArith(), &gateway.Option{MaxBytesInFlight: 4 << 10})
		if err := g.Bind("GET /sums/{A}/{B}", "Arith.Add"); err != nil {
			t.Fatal(err)
		}
		var held []func()
		for range 4 << 10 {
			_, release, err := g.ReadBody(httptest.NewRecorder(), post("/", "x"))
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, release)
		}
		expect(t, serve(g, post("/Arith/Add", "{}")), http.StatusTooManyRequests, `{"code":"resource_exhausted","message":"too many bytes of requests in flight"}`)
		expect(t, serve(g, get("/sums/3/4")), http.StatusOK, `{"C":7}`)
		for _, release := range held {
			release()
		}
	})
}

// A body that takes room must bring 16 KiB/s over each 10 s, with any server's
// ReadTimeout; one that does is read to its end, and its connection serves on.
func TestSlowBodiesAreCut(t *testing.T) {
	second := strings.Repeat(" ", 20<<10) // a little more than is asked for
	for name, choose := range protocolsOfHTTP {
		for _, test := range []struct {
			name   string
			body   func() *dribble
			after  time.Duration
			status int
		}{
			{"large and silent", func() *dribble { return newDribble(0, true, strings.Repeat(" ", 200<<10)) }, 20 * time.Second, 408},
			{"silent after 5 KiB", func() *dribble { return newDribble(0, true, strings.Repeat(" ", 5<<10)) }, 10 * time.Second, 408},
			{"a KiB each second", func() *dribble {
				return newDribble(1300*time.Millisecond, false, strings.Split(strings.Repeat(second[:1<<10]+"|", 60), "|")...)
			}, 14 * time.Second, 408},
			{"20 KiB each second", func() *dribble {
				return newDribble(time.Second, false, strings.Split(strings.Repeat(second+"|", 40)+`{"A":1}`, "|")...)
			}, 40 * time.Second, 200},
			{"4 KiB in a minute", func() *dribble { return newDribble(time.Minute, false, second[:4<<10-10], `{"A":1}`) }, time.Minute, 200},
		} {
			t.Run(name+", "+test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGateway(t, "beside", newArith(), nil)
					client := startServer(t, g, &gateway.ServerOption{PlainHTTP2: true, ReadTimeout: -1}).caller(t, choose)
					begun := time.Now()
					status, text := send(t, client, "/Arith/Add", test.body())
					if took := time.Since(begun); status != test.status || took < test.after-time.Second || took > test.after+time.Second {
						t.Errorf("answered %d %s after %v; want %d after %v", status, text, took, test.status, test.after)
					}
					time.Sleep(time.Minute)
					if status, text := send(t, client, "/Arith/Add", strings.NewReader(`{"A":1}`)); status != http.StatusOK {
						t.Errorf("the next request was answered %d %s", status, text)
					}
				})
			})
		}
	}
}

// A writer that hides the connection has a slow body given up with its next bytes.
func TestSlowBodiesBehindOtherMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, "beside", newArith(), nil)
		r := post("/Arith/Add", "")
		r.ContentLength = -1
		r.Body = newDribble(7*time.Second, false, strings.Repeat(" ", 5<<10), " ", "{}")
		begun := time.Now()
		expect(t, serve(g, r), http.StatusRequestTimeout, `{"code":"deadline_exceeded","message":"the body did not arrive in time"}`)
		if took := time.Since(begun); took != 14*time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}

// untouchable is a body that nobody may read.
type untouchable struct{ t *testing.T }

// Read implements io.Reader.
func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// Close implements io.Closer.
func (untouchable) Close() error { return nil }

// Who may not call is told so before a byte of the body is read, and each call is
// authorised once.
func TestNobodyWhoIsRefusedHasABodyRead(t *testing.T) {
	var asked atomic.Int64
	refused := errors.New("who are you?")
	g := newGateway(t, "beside", newArith(), &gateway.Option{Authorize: func(r *http.Request, _ string) (string, error) {
		asked.Add(1)
		if r.Header.Get("Authorization") == "" {
			return "", refused
		}
		return "", nil
	}})
	for path, method := range map[string]string{"POST /sums": "Arith.Add", "POST /status": "sinew.Introspect.Status"} {
		if err := g.Bind(path, method); err != nil {
			t.Fatal(err)
		}
	}
	bridge := func(service, method string) func() *http.Request {
		return func() *http.Request {
			return post("/invoke", `{"A":1}`, "Rpc-Header-Service_name", service, "Rpc-Header-Method_name", method, "Rpc-Header-Serialize_type", "1")
		}
	}
	to := func(path string) func() *http.Request {
		return func() *http.Request { return post(path, `{"A":1}`) }
	}
	for _, test := range []struct {
		name    string
		request func() *http.Request
		status  int // of somebody known
	}{
		{"JSON", to("/Arith/Add"), 200},
		{"bound", to("/sums"), 200},
		{"bridge", bridge("Arith", "Add"), 200},
		{"JSON, internal", to("/sinew.Introspect/Status"), 501},
		{"bound, internal", to("/status"), 501},
		{"bridge, internal", bridge("sinew.Introspect", "Status"), 501},
	} {
		t.Run(test.name, func(t *testing.T) {
			want, calls := test.status, int64(0)
			if want == http.StatusOK {
				want, calls = http.StatusUnauthorized, 1
			}
			asked.Store(0)
			r := test.request()
			r.Body = untouchable{t}
			if res := serve(g, r); res.StatusCode != want || asked.Load() != calls {
				t.Errorf("somebody unknown: answered %d, asked %d times; want %d and %d", res.StatusCode, asked.Load(), want, calls)
			}
			asked.Store(0)
			r = test.request()
			r.Header.Set("Authorization", "Bearer hello01")
			if res := serve(g, r); res.StatusCode != test.status || asked.Load() != calls {
				t.Errorf("somebody known: answered %d, asked %d times; want %d and %d", res.StatusCode, asked.Load(), test.status, calls)
			}
		})
	}
}
