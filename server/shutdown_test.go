package server_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// slow serves "Slow.Do", which takes d by the clock and ignores its context.
func slow(t testing.TB, s *server.SGServer, d time.Duration) (served *atomic.Int32) {
	t.Helper()
	served = new(atomic.Int32)
	if err := server.Handle(s, "Slow.Do", func(ctx context.Context, _ *AddRequest) (*AddReply, error) {
		time.Sleep(d)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		served.Add(1)
		return &AddReply{Sum: 7}, nil
	}); err != nil {
		t.Fatal(err)
	}
	return served
}

func TestShutdownWaitsForWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		served := slow(t, s, 3*time.Second)
		running(t, s)
		c := dial(t, mem, nil)
		oneways := dial(t, mem, nil)
		answers := make(chan error, 5)
		for range 5 {
			go func() {
				answers <- c.caller.Call(t.Context(), c.Session, "Slow", "Do", &AddRequest{}, &AddReply{}, nil)
			}()
		}
		if err := oneways.caller.Call(t.Context(), oneways.Session, "Slow", "Do", &AddRequest{}, endpoint.Oneway, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		begun := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 2020*time.Millisecond {
			t.Errorf("the drain took %v, want the 2s that handlers still needed, and 20ms for who comes late", took)
		}
		for range 5 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if n := served.Load(); n != 6 {
			t.Errorf("%d handlers finished in peace, want 5 and a oneway", n)
		}
	})
}

// TestDrainRefusesRequestsAndServesOneways uses a peer that does not heed the
// goaway.
func TestDrainRefusesRequestsAndServesOneways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{ShutDownWait: 4 * time.Second})
		served := slow(t, s, time.Second)
		running(t, s)
		conn := dialRaw(t, mem)
		conn.sendFrame(request(1), marshal(t, &AddRequest{1, 2}))
		conn.next()

		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		if h, _ := conn.next(); h.MessageType != protocol.TypeGoAway {
			t.Errorf("got %+v, want a goaway", h)
		}
		conn.sendFrame(request(2), marshal(t, &AddRequest{1, 2}))
		h, _ := conn.next()
		if want := protocol.FlagNotRun | protocol.FlagElsewhere | protocol.FlagDraining; h.StatusCode != protocol.Unavailable || h.Flags&want != want {
			t.Errorf("a request during the drain got %+v", h)
		}
		conn.sendFrame(protocol.Header{Seq: 3, MessageType: protocol.TypeOneway, ServiceName: "Slow", MethodName: "Do"}, marshal(t, &AddRequest{}))

		late := dial(t, mem, nil)
		if reason := <-late.away; !strings.Contains(reason, "shutting down") {
			t.Errorf("a new connection is told %q", reason)
		}
		<-late.ended

		begun := time.Now()
		err := <-done
		var cut *server.CutError
		if !errors.As(err, &cut) || cut.Connections != 1 || cut.Calls != 0 || cut.After != 4*time.Second {
			t.Errorf("Shutdown returned %v", err)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "ShutDownWait") {
			t.Errorf("%v does not say which limit it was", err)
		}
		if took := time.Since(begun); took != 4*time.Second {
			t.Errorf("the drain took %v", took)
		}
		if served.Load() != 1 {
			t.Error("the oneway was not served")
		}
	})
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		entered, ended := stuck(t, s)
		running(t, s)
		c := dial(t, mem, nil)
		answer := make(chan error, 1)
		go func() { answer <- c.caller.Call(t.Context(), c.Session, "Stuck", "Wait", &AddRequest{}, nil, nil) }()
		<-entered
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		var cut *server.CutError
		if err := s.Shutdown(ctx); !errors.As(err, &cut) || cut.Calls != 1 || cut.Connections != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown returned %v", err)
		}
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		if end := <-ended; !errors.Is(end.err, context.Canceled) {
			t.Errorf("the handler's context ended with %v", end.err)
		}
		wantError(t, <-answer, protocol.Unavailable, protocol.MaybeRun)
	})
}

// TestCloseByAHandler must not wait for the handler for ever.
func TestCloseByAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		if err := server.Handle(s, "Admin.Stop", func(context.Context, *AddRequest) (*AddReply, error) {
			return &AddReply{}, s.Close()
		}); err != nil {
			t.Fatal(err)
		}
		running(t, s)
		c := dial(t, mem, nil)
		wantError(t, c.call(t.Context(), "Admin", "Stop", &AddRequest{}, nil), protocol.Unavailable, protocol.MaybeRun)
	})
}

func TestEndingsMayMeet(t *testing.T) {
	for _, served := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, mem := on(t, server.Option{})
			if served {
				running(t, s)
				dial(t, mem, nil).add(t)
			}
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					if i%2 == 0 {
						s.Close()
						return
					}
					var cut *server.CutError
					if err := s.Shutdown(t.Context()); err != nil && !errors.As(err, &cut) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if err := s.Shutdown(t.Context()); err != nil && served == false {
				t.Error(err)
			}
			if err := s.Serve("mem", "again", nil); !errors.Is(err, server.ErrServerClosed) {
				t.Errorf("Serve returned %v", err)
			}
			<-s.Listening()
			if s.Addr() != nil {
				t.Errorf("a closed server listens at %v", s.Addr())
			}
		})
	}
}

// TestDrainUnderLoad has many callers at work while the server drains: each call
// is answered, or refused as Draining or NotSent, and none may have run in vain.
func TestDrainUnderLoad(t *testing.T) {
	s, err := server.NewSGServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(Arith{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve("tcp", "127.0.0.1:0", nil) }()
	<-s.Listening()
	var answered, refused atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		conn, err := transport.Dial(t.Context(), "tcp", s.Addr().String(), transport.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, conn, nil)
		for range 25 {
			wg.Go(func() {
				for {
					var reply AddReply
					err := c.caller.Call(t.Context(), c.Session, "Arith", "Add", &AddRequest{20, 22}, &reply, nil)
					switch o := protocol.OutcomeOf(err); {
					case err == nil && reply.Sum == 42:
						answered.Add(1)
						continue
					case o != protocol.NotSent && (o != protocol.Refused || !protocol.IsDraining(err)):
						t.Errorf("a call was lost: %v (%v)", err, o)
					}
					refused.Add(1)
					return
				}
			})
		}
	}
	for answered.Load() < 2000 {
		c, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		<-c.Done()
		cancel()
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
		t.Error(err)
	}
	if refused.Load() != 100 {
		t.Errorf("%d callers ended, want 100", refused.Load())
	}
}
