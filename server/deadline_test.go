package server_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// ending tells why and when a handler's context ended.
type ending struct {
	err error
	at  time.Time
}

// stuck serves "Stuck.Wait", which waits for the end of its context.
func stuck(t testing.TB, s *server.SGServer) (entered chan struct{}, ended chan ending) {
	t.Helper()
	entered, ended = make(chan struct{}, 100), make(chan ending, 100)
	err := server.Handle(s, "Stuck.Wait", func(ctx context.Context, _ *AddRequest) (*AddReply, error) {
		entered <- struct{}{}
		<-ctx.Done()
		ended <- ending{ctx.Err(), time.Now()}
		return nil, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return entered, ended
}

func TestEndOfTheCallerReachesTheHandler(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(c *client, cancel context.CancelFunc)
		err  error
	}{
		{"cancel", func(_ *client, cancel context.CancelFunc) { cancel() }, context.Canceled},
		{"connection closed", func(c *client, _ context.CancelFunc) { c.Close() }, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mem := on(t, server.Option{})
				entered, ended := stuck(t, s)
				running(t, s)
				client := dial(t, mem, nil)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				begun := time.Now()
				done := make(chan error, 1)
				go func() {
					done <- client.caller.Call(ctx, client.Session, "Stuck", "Wait", &AddRequest{}, nil, nil)
				}()
				<-entered
				c.end(client, cancel)
				end := <-ended
				if !errors.Is(end.err, c.err) || end.at.Sub(begun) != 0 {
					t.Errorf("the handler's context ended with %v after %v, want %v at once", end.err, end.at.Sub(begun), c.err)
				}
				if err := <-done; protocol.OutcomeOf(err) != protocol.MaybeRun {
					t.Errorf("the call ended with %v (%v)", err, protocol.OutcomeOf(err))
				}
			})
		})
	}
}

// TestDeadlineReachesTheHandler uses a caller that never says cancel.
func TestDeadlineReachesTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		_, ended := stuck(t, s)
		running(t, s)
		conn := dialRaw(t, mem)
		begun := time.Now()
		conn.sendFrame(protocol.Header{Seq: 1, ServiceName: "Stuck", MethodName: "Wait", Timeout: time.Minute}, marshal(t, &AddRequest{}))
		if end := <-ended; !errors.Is(end.err, context.DeadlineExceeded) || end.at.Sub(begun) != time.Minute {
			t.Errorf("the handler's context ended with %v after %v", end.err, end.at.Sub(begun))
		}
		if h, _ := conn.next(); h.StatusCode == protocol.OK || h.Flags&protocol.FlagNotRun != 0 {
			t.Errorf("answer %+v, want the handler's error", h)
		}
	})
}

func TestExpiredRequestNeverRuns(t *testing.T) {
	var runs atomic.Int32
	s, mem := on(t, server.Option{})
	if err := server.Handle(s, "Count.Run", func(context.Context, *AddRequest) (*AddReply, error) {
		runs.Add(1)
		return &AddReply{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	running(t, s)
	conn := dialRaw(t, mem)
	conn.sendFrame(protocol.Header{Seq: 1, ServiceName: "Count", MethodName: "Run", Timeout: 1}, marshal(t, &AddRequest{}))
	if h, _ := conn.next(); h.StatusCode != protocol.DeadlineExceeded || h.Flags&protocol.FlagNotRun == 0 {
		t.Errorf("answer %+v, want DeadlineExceeded with NotRun", h)
	}
	if n := runs.Load(); n != 0 {
		t.Errorf("the method ran %d times", n)
	}
}

func TestMetadataTravelsBothWays(t *testing.T) {
	s, mem := on(t, server.Option{})
	if err := server.Handle(s, "Meta.Echo", func(ctx context.Context, _ *AddRequest) (*AddReply, error) {
		got, _ := protocol.MetaValue(ctx, "k")
		if protocol.OutgoingMeta(ctx) != nil {
			return nil, errors.New("what a request brought would be sent on")
		}
		if err := server.SetReplyMeta(ctx, "sinew-x", ""); protocol.CodeOf(err) != protocol.InvalidArgument {
			return nil, errors.New("a key of the framework's was taken")
		}
		return &AddReply{}, server.SetReplyMeta(ctx, "echo", got)
	}); err != nil {
		t.Fatal(err)
	}
	running(t, s)
	c := dial(t, mem, nil)
	var meta map[string]string
	ctx := protocol.WithMeta(t.Context(), "k", "v")
	if err := c.caller.Call(ctx, c.Session, "Meta", "Echo", &AddRequest{}, &AddReply{}, &meta); err != nil {
		t.Fatal(err)
	}
	if meta["echo"] != "v" {
		t.Errorf("reply metadata %v", meta)
	}
	if err := server.SetReplyMeta(t.Context(), "k", "v"); protocol.CodeOf(err) != protocol.FailedPrecondition {
		t.Errorf("SetReplyMeta outside a request: %v", err)
	}
	if server.PeerFrom(t.Context()) != nil {
		t.Error("a peer outside a request")
	}
}

// TestBlockedHandlerDelaysNothingElse calls on one connection past handlers
// that do not return, without the clock moving.
func TestBlockedHandlerDelaysNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		entered, _ := stuck(t, s)
		running(t, s)
		c := dial(t, mem, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 10)
		for range 10 {
			go func() { done <- c.caller.Call(ctx, c.Session, "Stuck", "Wait", &AddRequest{}, nil, nil) }()
			<-entered
		}
		begun := time.Now()
		for range 20 {
			c.add(t)
		}
		if err := c.Ping(t.Context(), time.Now().Add(time.Second)); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("twenty calls past blocked handlers took %v", took)
		}
		cancel()
		for range 10 {
			<-done
		}
	})
}

// scribbler writes to the metadata of requests, at admission and after.
type scribbler struct{ server.BaseWrapper }

func (scribbler) Admit(_ context.Context, h *protocol.Header, _ int) error {
	return scribble(h.MetaData, "admitted")
}

func (scribbler) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		if err := scribble(req.MetaData, "wrapped"); err != nil {
			return err
		}
		return next(ctx, req, res)
	}
}

func scribble(meta map[string]string, key string) error {
	if _, there := meta[key]; there {
		return errors.New("another request's " + key)
	}
	meta[key] = "yes"
	return nil
}

func TestMetadataIsTheRequestsOwn(t *testing.T) {
	s, mem := on(t, server.Option{Wrappers: []server.Wrapper{scribbler{}}})
	running(t, s)
	c := dial(t, mem, nil)
	ctx := protocol.WithMeta(t.Context(), "k", "v")
	for range 5 {
		if err := c.call(ctx, "Arith", "Add", &AddRequest{20, 22}, &AddReply{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSameMetadataAgainAndAgain(t *testing.T) {
	s, mem := on(t, server.Option{})
	if err := server.Handle(s, "Meta.Count", func(ctx context.Context, _ *AddRequest) (*AddReply, error) {
		meta := protocol.MetaFrom(ctx)
		sum := len(meta)
		meta["more"] = "of this handler alone"
		return &AddReply{sum}, nil
	}); err != nil {
		t.Fatal(err)
	}
	running(t, s)
	c := dial(t, mem, nil)
	ctx := protocol.WithMeta(t.Context(), "k", "v")
	for range 5 {
		var reply AddReply
		if err := c.call(ctx, "Meta", "Count", &AddRequest{}, &reply); err != nil || reply.Sum != 1 {
			t.Fatalf("the handler found %d pairs, %v", reply.Sum, err)
		}
	}
}
