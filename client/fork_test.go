package client_test

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

func TestForkTakesTheFirstSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cancelled := make(chan string, 3)
		w := newWorld(t, func(ctx context.Context, addr string, _ int) error {
			wait := map[string]time.Duration{"a": 30 * ms, "b": 0, "c": 20 * ms, "d": time.Minute}[addr]
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				cancelled <- addr
				return ctx.Err()
			}
			if addr == "b" {
				return protocol.NewError(protocol.NotFound, "not here")
			}
			return nil
		}, "a", "b", "c", "d")
		var calls []string
		c := w.client(t, func(op *client.SGOption) {
			op.Wrappers = []client.Wrapper{logged{"w", &calls}}
		})
		calls = nil
		var resp text
		var meta map[string]string
		begun := time.Now()
		err := c.Fork(client.With(context.Background(), client.ReplyMeta(&meta)), "Echo.Do", &text{}, &resp, 0)
		if err != nil || resp.S != "c" || time.Since(begun) != 20*ms {
			t.Errorf("%v, %v after %v", resp, err, time.Since(begun))
		}
		synctest.Wait()
		if len(cancelled) != 2 {
			t.Errorf("%d cancelled on the wire, want a and d", len(cancelled))
		}
		if len(calls) != 1 {
			t.Errorf("the wrappers saw %q", calls)
		}
		if got := c.Stats(); got.Calls != 1 || got.Attempts != 4 || got.InFlight != 0 || got.Retries+got.Moves+got.Hedges != 0 {
			t.Errorf("%+v", got)
		}
		w.took()
		if err := c.Fork(context.Background(), "Echo.Do", &text{}, &resp, 2); err != nil || resp.S != "a" {
			t.Errorf("%v, %v", resp, err)
		}
		if got := w.took(); len(got) != 2 {
			t.Errorf("called at %q, want two", got)
		}
	})
}

var errOutOfStock = errors.New("out of stock")

// A fork that meets providers which are gone goes on to others; it fails when
// all fail, with the errors of all.
func TestForkPassesOverTheDeadAndFailsWithAll(t *testing.T) {
	out := errOutOfStock
	if err := protocol.RegisterError("client_test.stock", out); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, addr string, _ int) error {
			if addr == "y" {
				return out
			}
			time.Sleep(10 * ms)
			return protocol.NewError(protocol.NotFound, "nothing")
		}, "y", "z")
		list(t, w.r, "a", nil) // and nobody is there
		c := w.client(t, func(op *client.SGOption) { op.FailMode = client.FailOver })
		err := c.Fork(context.Background(), "Echo.Do", &text{}, nil, 2)
		wantError(t, err, protocol.NotFound, protocol.Ran, "nothing")
		story, ok := client.Explain(err)
		if !ok || story.Stop != client.StopAll || len(story.Attempts) != 3 || !errors.Is(err, out) {
			t.Fatalf("%v", story)
		}
		numbers := make(map[string]int)
		for _, a := range story.Attempts {
			if numbers[a.Provider] = a.Number; a.Timeout != 0 {
				t.Errorf("%+v", a)
			}
		}
		second, third := map[string]int{"mem@a": 0, "mem@y": 1, "mem@z": 0}, map[string]int{"mem@a": 0, "mem@y": 0, "mem@z": 1} // by when it is known that nobody is at a
		if !maps.Equal(numbers, second) && !maps.Equal(numbers, third) {
			t.Errorf("numbers %v, want %v or %v: who takes another's place has its number", numbers, second, third)
		}
		if got := c.Stats(); got.Moves != 1 || got.Attempts != 2 {
			t.Errorf("%+v", got)
		}
	})
}

// crowd is a thousand providers, p0 to p999, of which p0 alone is there, and a
// client of them all.
type crowd struct {
	client.SGClient
	hangs func(addr string) bool // attempts at it end with their context

	pause time.Duration // of all that is asked after the first pick
	picks atomic.Int32
	asked atomic.Int32 // how often a filter was, about one provider
}

const crowded = 1000

// withCrowd runs f in a bubble. Where it is filtered, a filter is asked about each
// provider, and the selector takes no time.
func withCrowd(t *testing.T, filtered bool, c *crowd, f func()) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(context.Context, string, int) error { time.Sleep(ms); return nil }, p(0))
		var listed []registry.Provider
		for i := range crowded - 1 {
			listed = append(listed, registry.Provider{Network: "mem", Addr: p(1 + i)})
		}
		if err := w.r.Register(t.Context(), registry.RegisterOption{}, listed...); err != nil {
			t.Fatal(err)
		}
		c.SGClient = w.client(t, func(op *client.SGOption) {
			op.Selector, op.Wrappers, op.RequestTimeout = crowdSelector{c, filtered}, []client.Wrapper{c}, -1
			if filtered {
				op.Filters = []selector.Filter{crowdFilter{of: c}}
			}
		})
		f()
	})
}

func (*crowd) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc { return next }

func (c *crowd) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	return func(ctx context.Context, a *client.Attempt) error {
		if !c.hangs(a.Provider.Addr) {
			return next(ctx, a)
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

type crowdSelector struct {
	of    *crowd
	quick bool
}

func (s crowdSelector) New() selector.Selector { return s }

func (s crowdSelector) Pick(ctx context.Context, info selector.PickInfo, nodes []*selector.Node) *selector.Node {
	if s.of.picks.Add(1) > 1 && !s.quick {
		time.Sleep(s.of.pause)
	}
	return inOrder{}.Pick(ctx, info, nodes)
}

type crowdFilter struct {
	selector.BaseFilter
	of *crowd
}

func (f crowdFilter) PerCall(context.Context, selector.PickInfo, *selector.Node) bool {
	if f.of.asked.Add(1) > crowded {
		time.Sleep(f.of.pause)
	}
	return true
}

// A fork to all chooses once, however many there are, and looks for nobody in the
// place of those that are gone.
func TestForkToAllChoosesOnce(t *testing.T) {
	c := &crowd{hangs: func(addr string) bool { return addr == p(0) }}
	withCrowd(t, false, c, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := c.Fork(ctx, "Echo.Do", &text{}, nil, 0)
		wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun, "")
		story, _ := client.Explain(err)
		if story.Stop != client.StopAll || len(story.Attempts) != crowded || c.picks.Load() != 1 {
			t.Errorf("%v after %d attempts and %d picks", story.Stop, len(story.Attempts), c.picks.Load())
		}
	})
}

// What is there to be called may take long to find: a fork looks for no more once
// it is over.
func TestForkEndsBeforeAllAreCalled(t *testing.T) {
	for _, test := range []struct {
		name      string
		providers int
		filtered  bool
	}{
		{"all", 0, true},
		{"as many as there are", crowded, true},
		{"half", crowded / 2, false},
	} {
		t.Run("answered, "+test.name, func(t *testing.T) {
			c := &crowd{pause: ms, hangs: func(addr string) bool { return addr != p(0) }}
			withCrowd(t, test.filtered, c, func() {
				begun := time.Now()
				err := c.Fork(context.Background(), "Echo.Do", &text{}, nil, test.providers)
				if took := time.Since(begun); err != nil || took > 3*ms {
					t.Errorf("%v after %v, and the first provider answers after %v", err, took, ms)
				}
			})
		})
		t.Run("deadline, "+test.name, func(t *testing.T) {
			c := &crowd{pause: ms, hangs: func(string) bool { return true }}
			withCrowd(t, test.filtered, c, func() {
				const limit = 100*ms - ms/2
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				defer cancel()
				begun := time.Now()
				err := c.Fork(ctx, "Echo.Do", &text{}, nil, test.providers)
				wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun, "the caller's context ends")
				if took := time.Since(begun); took > limit+ms {
					t.Errorf("returned %v after its deadline", took-limit)
				}
			})
		})
	}
}

func TestForkWithNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, always, "a")
		c := w.client(t, nil)
		ctx := client.With(context.Background(), client.Tags(map[string]string{"idc": "moon"}))
		err := c.Fork(ctx, "Echo.Do", &text{}, nil, 2)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "fits this call")
		err = c.Broadcast(ctx, "Echo.Do", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "fits this call")
	})
}

func TestBroadcastReachesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, addr string, _ int) error {
			time.Sleep(map[string]time.Duration{"a": 30 * ms, "b": 10 * ms, "c": 20 * ms}[addr])
			return nil
		}, "a", "b", "c")
		var calls []string
		c := w.client(t, func(op *client.SGOption) {
			op.Wrappers = []client.Wrapper{logged{"w", &calls}}
		})
		calls = nil
		var from []string
		replies := make(map[string]*text)
		begun := time.Now()
		err := c.Broadcast(context.Background(), "Echo.Do", &text{}, func(p registry.Provider) any {
			from = append(from, p.Addr)
			replies[p.Addr] = new(text)
			return replies[p.Addr]
		})
		if err != nil || time.Since(begun) != 30*ms {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if len(from) != 3 || from[0] != "a" || from[2] != "c" || replies["b"].S != "b" || replies["c"].S != "c" {
			t.Errorf("replies of %q: %v", from, replies)
		}
		if len(calls) != 1 {
			t.Errorf("the wrappers saw %q", calls)
		}
		if err := c.Broadcast(context.Background(), "Echo.Do", &text{}, nil); err != nil {
			t.Error(err)
		}
		if got := w.took(); len(got) != 6 {
			t.Errorf("ran at %q", got)
		}
		if got := c.Stats(); got.Calls != 2 || got.Attempts != 6 {
			t.Errorf("%+v", got)
		}
	})
}

// All must answer: one that does not is named, and what the others said is there.
func TestBroadcastFailsWithAllThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, addr string, _ int) error {
			switch addr {
			case "b":
				return protocol.NewError(protocol.ResourceExhausted, "full")
			case "c":
				time.Sleep(time.Minute)
			}
			return nil
		}, "a", "b", "c")
		list(t, w.r, "d", nil) // and nobody is there
		c := w.client(t, func(op *client.SGOption) { op.FailMode, op.AttemptTimeout = client.FailOver, 100*ms })
		var a text
		err := c.Broadcast(context.Background(), "Echo.Do", &text{}, func(p registry.Provider) any {
			if p.Addr == "a" {
				return &a
			}
			return nil
		})
		wantError(t, err, protocol.ResourceExhausted, protocol.Ran, "3 of 4 providers failed, the first: mem@b: ResourceExhausted: full")
		if a.S != "a" {
			t.Errorf("a answered %v", a)
		}
		story, ok := client.Explain(err)
		if !ok || len(story.Attempts) != 3 || story.Attempts[1].Code != protocol.DeadlineExceeded || story.Attempts[1].Timeout != 100*ms || story.Attempts[2].Outcome != protocol.NotSent {
			t.Errorf("%v", story)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error("the deadline of c is not found in the error")
		}
	})
}
