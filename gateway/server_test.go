package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// served is a gateway's server on a network in memory.
type served struct {
	*gateway.Server
	network *transport.MemNetwork
	ended   chan error
}

// startServer serves h. It ends with the test, if it has not before.
func startServer(t *testing.T, h http.Handler, o *gateway.ServerOption) *served {
	t.Helper()
	s, err := gateway.NewServer(h, o)
	if err != nil {
		t.Fatal(err)
	}
	network := transport.NewMemNetwork()
	ln, err := network.Listen("gateway")
	if err != nil {
		t.Fatal(err)
	}
	out := &served{s, network, make(chan error, 1)}
	go func() { out.ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-out.ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
		out.ended <- nil
	})
	return out
}

func (s *served) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := s.network.Dial(t.Context(), "gateway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answer reads one response.
func answer(t *testing.T, conn net.Conn) (status int, body string) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, bodyOf(t, res)
}

func TestSlowClients(t *testing.T) {
	for _, test := range []struct {
		name   string
		sent   string
		after  time.Duration
		status int
		body   string
	}{
		{"a header that does not end", "POST /Arith/Add HTTP/1.1\r\nHost: x\r\n", gateway.DefaultReadHeaderTimeout, 0, ""},
		{"a body that does not come", "POST /Arith/Add HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{", gateway.DefaultReadTimeout,
			408, `{"code":"deadline_exceeded","message":"the body did not arrive in time"}`},
		{"nothing after a request", "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", gateway.DefaultIdleTimeout, 404,
			`{"code":"unimplemented","message":"nothing is served at \"/nothing\"; calls are POST /{Service}/{Method}"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := startServer(t, newGateway(t, "beside", newArith(), nil), nil)
				conn := s.dial(t)
				begun := time.Now()
				if _, err := io.WriteString(conn, test.sent); err != nil {
					t.Fatal(err)
				}
				reader := bufio.NewReader(conn)
				if test.status != 0 {
					res, err := http.ReadResponse(reader, nil)
					if err != nil {
						t.Fatal(err)
					}
					expect(t, res, test.status, test.body)
				}
				if _, err := io.Copy(io.Discard, reader); err != nil {
					t.Logf("the connection ended by %v", err)
				}
				if took := time.Since(begun); took < test.after || took > test.after+time.Second {
					t.Errorf("the connection ended after %v, want %v", took, test.after)
				}
			})
		})
	}
}

func TestSlowReaderIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 1 << 10 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}), nil)
		conn := s.dial(t)
		begun := time.Now()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(gateway.DefaultWriteTimeout + time.Second)
		n, err := io.Copy(io.Discard, conn)
		if n > 32<<20 {
			t.Errorf("%d bytes came after %v, %v", n, time.Since(begun), err)
		}
	})
}

func TestHeaderBomb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, newGateway(t, "beside", newArith(), nil), nil)
		conn := s.dial(t)
		go func() {
			fmt.Fprintf(conn, "POST /Arith/Add HTTP/1.1\r\nHost: x\r\n")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(conn, "X-%d: %s\r\n", i, strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		}()
		if status, _ := answer(t, conn); status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered %d", status)
		}
		time.Sleep(time.Second) // net/http lingers for half a second, so that the answer is read
	})
}

func TestHeaderWithLineBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, newGateway(t, "beside", newArith(), nil), nil)
		for _, header := range []string{"Traceparent: a\rb", "Traceparent: a\x00b", "X-Request-Id: a\x01"} {
			conn := s.dial(t)
			fmt.Fprintf(conn, "POST /Arith/Add HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 0\r\n\r\n", header)
			if status, body := answer(t, conn); status != http.StatusBadRequest {
				t.Errorf("%q: answered %d %s", header, status, body)
			}
		}
	})
}

// A client that closes its connection cancels the handler, wherever that is.
func TestClientThatHangsUp(t *testing.T) {
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arith := newArith()
				s := startServer(t, newGateway(t, place, arith, nil), nil)
				conn := s.dial(t)
				fmt.Fprint(conn, "POST /Arith/Wait HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
				<-arith.entered
				begun := time.Now()
				conn.Close()
				if err := <-arith.ended; !errors.Is(err, context.Canceled) || time.Since(begun) > time.Second {
					t.Errorf("the handler's context ended by %v after %v", err, time.Since(begun))
				}
			})
		})
	}
}

func TestShutdownAnswersWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		s := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-release
			fmt.Fprint(w, "done")
		}), nil)
		conn := s.dial(t)
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-entered
		down := make(chan error)
		go func() { down <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-s.ended:
			t.Errorf("Serve returned %v before the drain was over", err)
		default:
		}
		close(release)
		if status, body := answer(t, conn); status != http.StatusOK || body != "done" {
			t.Errorf("answered %d %q", status, body)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
		if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		s.ended <- http.ErrServerClosed // for the cleanup
		if _, err := s.network.Dial(t.Context(), "gateway"); err == nil {
			t.Error("a server that was shut down takes connections")
		}
	})
}

func TestShutdownCutsWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered := make(chan struct{})
		s := startServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
		}), &gateway.ServerOption{ShutDownWait: 3 * time.Second})
		conn := s.dial(t)
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-entered
		begun := time.Now()
		err := s.Shutdown(t.Context())
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("Shutdown returned %v after %v", err, took)
		}
	})
}

func TestHTTP2(t *testing.T) {
	serverTLS, clientTLS := testutil.Certificates(t)
	for _, test := range []struct {
		name   string
		option *gateway.ServerOption
		plain  bool
		proto  string
	}{
		{"TLS", &gateway.ServerOption{TLSConfig: serverTLS}, false, "HTTP/2.0"},
		{"plain", &gateway.ServerOption{PlainHTTP2: true}, true, "HTTP/2.0"},
		{"one", nil, true, "HTTP/1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startServer(t, newGateway(t, "alone", newArith(), nil), test.option)
			protocols := new(http.Protocols)
			protocols.SetHTTP1(test.proto == "HTTP/1.1")
			protocols.SetHTTP2(!test.plain)
			protocols.SetUnencryptedHTTP2(test.plain && test.proto == "HTTP/2.0")
			transport := &http.Transport{
				Protocols:       protocols,
				TLSClientConfig: clientTLS,
				DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return s.network.Dial(ctx, "gateway") },
			}
			defer transport.CloseIdleConnections()
			scheme := "https"
			if test.plain {
				scheme = "http"
			}
			res, err := (&http.Client{Transport: transport}).Post(scheme+"://localhost/Arith/Add", "application/json", strings.NewReader(`{"A":1,"B":2}`))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.Proto != test.proto {
				t.Errorf("spoke %s, want %s", res.Proto, test.proto)
			}
			expect(t, res, http.StatusOK, `{"C":3}`)
		})
	}
}

// waiting is a backend whose calls end with their callers.
type waiting struct {
	gateway.Backend
	calls, running, most atomic.Int64
}

func (w *waiting) Do(ctx context.Context, _ *protocol.Message) (*protocol.Message, error) {
	w.calls.Add(1)
	for now := w.running.Add(1); ; {
		if most := w.most.Load(); now <= most || w.most.CompareAndSwap(most, now) {
			break
		}
	}
	defer w.running.Add(-1)
	<-ctx.Done()
	return nil, ctx.Err()
}

// A client of HTTP/2 that asks and takes back, again and again on one connection,
// has no more calls made at one time than it may have streams.
func TestRapidResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := new(waiting)
		g, err := gateway.New(backend, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := startServer(t, g, &gateway.ServerOption{PlainHTTP2: true})
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		oneConnection := &http.HTTP2Config{StrictMaxConcurrentRequests: true}
		transport := &http.Transport{Protocols: protocols, HTTP2: oneConnection, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return s.network.Dial(ctx, "gateway")
		}}
		askAndLeave := func(patience time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway/Arith/Wait", strings.NewReader(`{}`))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			if res, err := transport.RoundTrip(r); err == nil {
				res.Body.Close()
			}
		}
		var callers sync.WaitGroup
		for i := range 300 {
			callers.Go(func() {
				for range 7 {
					askAndLeave(time.Duration(1+i%7) * time.Millisecond)
				}
			})
		}
		callers.Wait()
		transport.CloseIdleConnections()
		synctest.Wait()
		if err := g.Close(); err != nil || backend.running.Load() != 0 {
			t.Errorf("%d calls run on, %v", backend.running.Load(), err)
		}
		const streams = 250 // of one connection, by default of net/http
		if most := backend.most.Load(); most > streams || backend.calls.Load() <= streams {
			t.Errorf("%d calls at one time, of %d", most, backend.calls.Load())
		}
	})
}

func TestNewServerSaysWhichFieldIsWrong(t *testing.T) {
	h := http.NotFoundHandler()
	if _, err := gateway.NewServer(nil, nil); err == nil {
		t.Error("a nil handler was taken")
	}
	for field, option := range map[string]*gateway.ServerOption{
		"MaxHeaderBytes": {MaxHeaderBytes: -1},
		"TLSConfig":      {TLSConfig: &tls.Config{}},
		"PlainHTTP2":     {PlainHTTP2: true, TLSConfig: &tls.Config{}},
	} {
		if _, err := gateway.NewServer(h, option); err == nil || !strings.Contains(err.Error(), "ServerOption."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
