package client_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

func TestCloseEndsPendingCallsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{RequestTimeout: -1})
		call := c.Go(context.Background(), "Echo.Hang", &text{}, nil, nil)
		synctest.Wait()
		begun := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _ = c.Close() })
		}
		wg.Wait()
		<-call.Done
		if took := time.Since(begun); took != 0 {
			t.Errorf("Close took %v", took)
		}
		wantError(t, call.Error, protocol.Unavailable, protocol.MaybeRun, "closed")
		if !errors.Is(call.Error, client.ErrClosed) {
			t.Errorf("%v is not ErrClosed", call.Error)
		}
		late := <-c.Go(context.Background(), "Echo.Say", &text{}, nil, nil).Done
		wantError(t, late.Error, protocol.Unavailable, protocol.NotSent, "closed")
	})
}

func TestCloseDuringADial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.MemFaults{HangDials: true})
		c := dialMem(t, n, "a", client.Option{RequestTimeout: -1, DialTimeout: -1})
		call := c.Go(context.Background(), "Echo.Say", &text{}, nil, nil)
		synctest.Wait()
		_ = c.Close()
		<-call.Done
		wantError(t, call.Error, protocol.Unavailable, protocol.NotSent, "cannot be reached")
	})
}

func TestShutdownWaitsForPendingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.BothWays(transport.MemPath{Latency: 5 * time.Millisecond}))
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		var calls []*client.Call
		for _, d := range []string{"1ms", "300ms", "600ms"} {
			calls = append(calls, c.Go(context.Background(), "Echo.Slow", &text{d}, new(text), nil))
		}
		if err := c.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		for _, call := range calls {
			if <-call.Done; call.Error != nil {
				t.Errorf("%v: %v", call.Args, call.Error)
			}
		}
		err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "closed")
	})
}

func TestShutdownCutsWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{RequestTimeout: -1})
		call := c.Go(context.Background(), "Echo.Hang", &text{}, nil, nil)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		begun := time.Now()
		err := c.Shutdown(ctx)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("Shutdown took %v, want 1s", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		<-call.Done
		wantError(t, call.Error, protocol.Unavailable, protocol.MaybeRun, "closed")
	})
}

func TestShutdownUnderLoadLosesNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.BothWays(transport.MemPath{Latency: time.Millisecond}))
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for {
					err := c.Call(context.Background(), "Echo.Say", &text{"x"}, nil)
					if err == nil {
						continue
					}
					wantError(t, err, protocol.Unavailable, protocol.NotSent, "")
					return
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		if err := c.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		wg.Wait()
	})
}

// Heartbeats that a provider does not answer are no calls that could be cut.
func TestShutdownDoesNotWaitForHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{Heartbeat: true, HeartbeatInterval: time.Second, HeartbeatDegradeThreshold: -1})
		say(t, c)
		n.SetFaultsAt("a", transport.MemFaults{ToListener: transport.MemPath{Stall: true}})
		time.Sleep(1500 * time.Millisecond) // a heartbeat is under way
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		begun := time.Now()
		if err := c.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(begun); took > 2500*time.Millisecond {
			t.Errorf("Shutdown took %v, want the 2s that the provider has to close the connection", took)
		}
	})
}

// pausing returns a call of Go and one of Call that wait to be made again, a day
// later, at the only provider of c.
func pausing(t *testing.T) (c client.SGClient, gone *client.Call, called chan error) {
	w := newWorld(t, func(context.Context, string, int) error {
		e := protocol.NewError(protocol.ResourceExhausted, "tomorrow")
		e.RetryAfter = 24 * time.Hour
		return e.WithOutcome(protocol.Refused)
	}, "a")
	c = w.client(t, func(op *client.SGOption) {
		op.FailMode, op.Idempotent, op.RequestTimeout = client.FailRetry, []string{"*"}, -1
	})
	gone = c.Go(context.Background(), "Echo.Do", &text{}, nil, nil)
	called = make(chan error, 1)
	go func() { called <- c.Call(context.Background(), "Echo.Do", &text{}, nil) }()
	time.Sleep(time.Second)
	return c, gone, called
}

func wantCutInThePause(t *testing.T, gone *client.Call, called chan error) {
	t.Helper()
	for _, err := range []error{(<-gone.Done).Error, <-called} {
		wantError(t, err, protocol.Unavailable, protocol.Ran, "closed")
		story, ok := client.Explain(err)
		if !errors.Is(err, client.ErrClosed) || !ok || story.Stop != client.StopClosed || len(story.Attempts) != 1 {
			t.Errorf("%v is not ErrClosed, or its story is %v", err, story)
		}
	}
}

func TestCloseEndsThePauseBeforeARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, gone, called := pausing(t)
		begun := time.Now()
		_ = c.Close()
		wantCutInThePause(t, gone, called)
		if took := time.Since(begun); took != 0 {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestShutdownEndsThePauseBeforeARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, gone, called := pausing(t)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		begun := time.Now()
		if err := c.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 calls cut") {
			t.Errorf("Shutdown: %v", err)
		}
		wantCutInThePause(t, gone, called)
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("Shutdown took %v, want at most a minute", took)
		}
	})
}

// shutdown has c shut down beside the test, and returns what Shutdown said.
func shutdown(c client.RPCClient) <-chan error {
	said := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		said <- c.Shutdown(ctx)
	}()
	synctest.Wait()
	return said
}

// wantShutdown checks that a Shutdown cuts nothing, not call either, and took no
// new one meanwhile.
func wantShutdown(t *testing.T, c client.RPCClient, said <-chan error, call *client.Call) {
	t.Helper()
	late := <-c.Go(context.Background(), "Echo.Do", &text{}, nil, nil).Done
	wantError(t, late.Error, protocol.Unavailable, protocol.NotSent, "closed")
	wantError(t, c.Notify(context.Background(), "Echo.Do", &text{}), protocol.Unavailable, protocol.NotSent, "closed")
	if err := <-said; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if <-call.Done; call.Error != nil {
		t.Errorf("the call that was pending: %v", call.Error)
	}
}

func TestShutdownWaitsForACallBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, elsewhere, "a", "b")
		c := w.client(t, func(op *client.SGOption) {
			op.FailMode, op.Idempotent, op.RequestTimeout = client.FailRetry, []string{"*"}, -1
			op.RetryBackoff, op.RetryBackoffMax = 10*time.Second, 10*time.Second
		})
		call := c.Go(context.Background(), "Echo.Do", &text{}, new(text), nil)
		synctest.Wait()
		wantShutdown(t, c, shutdown(c), call)
		if took := w.took(); took != "ab" {
			t.Errorf("the call ran at %q, want at a, and again at b", took)
		}
	})
}

func TestShutdownWaitsForACallThatWaitsForAProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(context.Context, string, int) error { return nil })
		c := w.client(t, func(op *client.SGOption) { op.RequestTimeout = -1 })
		call := c.Go(context.Background(), "Echo.Say", &text{}, new(text), nil)
		said := shutdown(c)
		time.AfterFunc(time.Second, func() {
			listenMem(t, w.n, "a")
			list(t, w.r, "a", nil)
		})
		wantShutdown(t, c, said, call)
	})
}

func TestShutdownWaitsForACallInAWrapper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{Wrappers: []client.Wrapper{delay(500 * time.Millisecond)}})
		call := c.Go(context.Background(), "Echo.Say", &text{}, new(text), nil)
		other := shutdown(c)
		wantShutdown(t, c, shutdown(c), call)
		if err := <-other; err != nil {
			t.Errorf("the Shutdown beside it: %v", err)
		}
	})
}

// delay is a wrapper that keeps each call for so long.
type delay time.Duration

func (d delay) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		time.Sleep(time.Duration(d))
		return next(ctx, serviceMethod, req, resp)
	}
}

// Calls that nobody depends on are none to be told of either.
func TestFailSafeSwallowsThatTheClientIsClosed(t *testing.T) {
	quiet(t)
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, elsewhere, "a").client(t, func(op *client.SGOption) { op.FailMode = client.FailSafe })
		if err := c.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := c.Call(context.Background(), "Echo.Do", &text{}, nil); err != nil {
			t.Errorf("a call of FailSafe: %v", err)
		}
		if s := c.Stats(); s.Swallowed != 1 {
			t.Errorf("%d failures were swallowed", s.Swallowed)
		}
	})
}

// So is a call of Go, and wrappers see both.
func TestWrappersSeeCallsOfAClosedClient(t *testing.T) {
	quiet(t)
	synctest.Test(t, func(t *testing.T) {
		var seen counting
		c := newWorld(t, elsewhere, "a").client(t, func(op *client.SGOption) {
			op.FailMode, op.Wrappers = client.FailSafe, []client.Wrapper{&seen}
		})
		_ = c.Close()
		if err := c.Call(context.Background(), "Echo.Do", &text{}, nil); err != nil {
			t.Errorf("a call of FailSafe: %v", err)
		}
		if call := <-c.Go(context.Background(), "Echo.Do", &text{}, nil, nil).Done; call.Error != nil {
			t.Errorf("a call of Go with FailSafe: %v", call.Error)
		}
		if s := c.Stats(); s.Swallowed != 2 || seen.Load() != 2 {
			t.Errorf("%d failures were swallowed, and the wrapper saw %d calls", s.Swallowed, seen.Load())
		}
	})
}

// counting is a wrapper that counts calls.
type counting struct{ atomic.Int32 }

func (c *counting) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		c.Add(1)
		return next(ctx, serviceMethod, req, resp)
	}
}

// queue is a wrapper whose calls wait for a turn that never comes.
type queue struct{}

func (queue) WrapCall(*client.SGOption, client.CallFunc) client.CallFunc {
	return func(ctx context.Context, _ string, _, _ any) error {
		<-ctx.Done()
		return protocol.Errorf(protocol.CodeOf(ctx.Err()), "while waiting for a turn: %w", ctx.Err()).WithOutcome(protocol.NotSent)
	}
}

func TestCloseEndsCallsOfGoThatWaitInAWrapper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialMem(t, transport.NewMemNetwork(), "a", client.Option{RequestTimeout: -1, Wrappers: []client.Wrapper{queue{}}})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		cut := c.Go(context.Background(), "Echo.Say", &text{}, nil, nil)
		canceled := c.Go(ctx, "Echo.Say", &text{}, nil, nil)
		time.Sleep(time.Second)
		cancel()
		wantError(t, (<-canceled.Done).Error, protocol.Canceled, protocol.NotSent, "turn")
		_ = c.Close()
		<-cut.Done
		wantError(t, cut.Error, protocol.Unavailable, protocol.NotSent, "closed; make a new one: while waiting for a turn")
		if !errors.Is(cut.Error, client.ErrClosed) {
			t.Errorf("%v is not ErrClosed", cut.Error)
		}
	})
}

// through is a wrapper that asks another client first, as one does that fetches a token.
type through struct{ other client.Caller }

func (w through) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		if err := w.other.Call(ctx, "Echo.Hang", &text{}, nil); err != nil {
			return err
		}
		return next(ctx, serviceMethod, req, resp)
	}
}

// The other client has nothing else by which to know.
func TestCloseEndsCallsOfGoThatWaitForAnotherClient(t *testing.T) {
	withFleet(t, 1, func(op *client.SGOption) { op.RequestTimeout, op.Heartbeat = -1, false }, func(w *fleet) {
		c := dialMem(t, w.net, p(0), client.Option{RequestTimeout: -1, Wrappers: []client.Wrapper{through{w.client}}})
		call := c.Go(context.Background(), "Echo.Say", &text{}, nil, nil)
		time.Sleep(time.Second)
		begun := time.Now()
		_ = c.Close()
		if took := time.Since(begun); took > 0 {
			t.Errorf("Close took %v", took)
		}
		if <-call.Done; !errors.Is(call.Error, client.ErrClosed) {
			t.Errorf("the call ended with %v", call.Error)
		}
	})
}
