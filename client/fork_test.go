package client_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
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
		if want := map[string]int{"mem@a": 0, "mem@y": 1, "mem@z": 0}; !maps.Equal(numbers, want) {
			t.Errorf("numbers %v, want %v: who takes another's place has its number", numbers, want)
		}
		if got := c.Stats(); got.Moves != 1 || got.Attempts != 2 {
			t.Errorf("%+v", got)
		}
	})
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
