package client_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
)

// sideBySide are the ways in which attempts of one call run at one time.
var sideBySide = map[string]func(ctx context.Context, c client.SGClient) error{
	"hedge": func(ctx context.Context, c client.SGClient) error {
		return c.Call(client.With(ctx, client.Hedge()), "Echo.Do", &text{}, new(text))
	},
	"fork": func(ctx context.Context, c client.SGClient) error {
		return c.Fork(ctx, "Echo.Do", &text{}, new(text), 2)
	},
	"broadcast": func(ctx context.Context, c client.SGClient) error {
		return c.Broadcast(ctx, "Echo.Do", &text{}, nil)
	},
}

// hanging is a world whose method never answers, and a client that hedges at
// once.
func hanging(t *testing.T) (*world, client.SGClient) {
	w := newWorld(t, func(ctx context.Context, _ string, _ int) error { <-ctx.Done(); return ctx.Err() }, "a", "b", "c")
	return w, w.client(t, func(op *client.SGOption) {
		op.FailMode, op.HedgeDelay, op.RequestTimeout, op.RetryBudget = client.FailOver, ms, -1, -1
	})
}

// The caller's context ends attempts that run side by side, at once and on the
// wire.
func TestContextEndsWhatRunsSideBySide(t *testing.T) {
	for name, call := range sideBySide {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := hanging(t)
				ctx, cancel := context.WithCancel(context.Background())
				time.AfterFunc(50*ms, cancel)
				begun := time.Now()
				err := call(ctx, c)
				wantError(t, err, protocol.Canceled, protocol.MaybeRun, "")
				if time.Since(begun) != 50*ms {
					t.Errorf("returned after %v", time.Since(begun))
				}
				synctest.Wait()
				for addr, p := range w.providers {
					for i := range p.accepted.Load() {
						if _, tasks := p.session(int(i)).Load(); tasks != 0 {
							t.Errorf("%s works on for nobody", addr)
						}
					}
				}
			})
		})
	}
}

// ending ends the goroutine of each attempt.
type ending struct{}

func (ending) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc { return next }

func (ending) WrapAttempt(*client.SGOption, client.AttemptFunc) client.AttemptFunc {
	return func(context.Context, *client.Attempt) error {
		runtime.Goexit()
		return nil
	}
}

func TestAWrapperThatEndsTheGoroutinesOfAttempts(t *testing.T) {
	for name, call := range sideBySide {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newWorld(t, code(protocol.OK), "a", "b").client(t, func(op *client.SGOption) {
					op.FailMode, op.Wrappers = client.FailOver, []client.Wrapper{ending{}}
				})
				wantError(t, call(context.Background(), c), protocol.Internal, protocol.MaybeRun, "ended its goroutine")
			})
		})
	}
}

// Close ends them too, and waits for their goroutines.
func TestCloseEndsWhatRunsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := hanging(t)
		var wg sync.WaitGroup
		for _, call := range sideBySide {
			for range 5 {
				wg.Go(func() {
					err := call(context.Background(), c)
					if code := protocol.CodeOf(err); code != protocol.Unavailable {
						t.Errorf("%v", err)
					}
				})
			}
		}
		time.Sleep(100 * ms)
		if got := c.Stats(); got.InFlight != 15 || got.Hedges != 5 {
			t.Errorf("%+v", got)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if got := c.Stats(); got.InFlight != 0 {
			t.Errorf("%+v", got)
		}
	})
}
