package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/selector"
	"github.com/sinew-rpc/sinew/transport"
)

// slowAt answers after a while at one address, and at once elsewhere; it notes
// calls that were cancelled.
type slowAt struct {
	addr      string
	while     time.Duration
	cancelled atomic.Int32
}

func (s *slowAt) do(ctx context.Context, addr string, _ int) error {
	if addr != s.addr {
		return nil
	}
	timer := time.NewTimer(s.while)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		s.cancelled.Add(1)
		return ctx.Err()
	}
}

func hedging(op *client.SGOption) {
	op.FailMode, op.Hedged, op.HedgeDelay = client.FailOver, []string{"Echo.Do"}, 30*ms
}

func TestHedgeAfterAFixedDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowAt{addr: "a", while: 500 * ms}
		w := newWorld(t, slow.do, "a", "b")
		c := w.client(t, hedging)
		begun := time.Now()
		resp, err := client.Invoke[text](context.Background(), c, "Echo.Do", &text{})
		if err != nil || resp.S != "b" || time.Since(begun) != 30*ms {
			t.Errorf("%v, %v after %v", resp, err, time.Since(begun))
		}
		synctest.Wait()
		if got := w.took(); got != "ab" || slow.cancelled.Load() != 1 {
			t.Errorf("ran at %q, %d cancelled on the wire", got, slow.cancelled.Load())
		}
		if n := w.providers["a"].accepted.Load(); n != 1 || w.providers["a"].session(0).Err() != nil {
			t.Errorf("%d connections: the loser's end is a frame, and costs no connection", n)
		}
		if got := c.Stats(); got.Hedges != 1 || got.HedgeWins != 1 || got.Attempts != 2 || got.Retries != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestHedgeThatLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowAt{addr: "b", while: 500 * ms}
		w := newWorld(t, func(ctx context.Context, addr string, run int) error {
			if addr == "a" {
				time.Sleep(50 * ms)
			}
			return slow.do(ctx, addr, run)
		}, "a", "b")
		c := w.client(t, hedging)
		var meta map[string]string
		var resp text
		begun := time.Now()
		err := c.Call(client.With(context.Background(), client.ReplyMeta(&meta)), "Echo.Do", &text{}, &resp)
		if err != nil || resp.S != "a" || time.Since(begun) != 50*ms {
			t.Errorf("%v, %v after %v", resp, err, time.Since(begun))
		}
		synctest.Wait()
		if slow.cancelled.Load() != 1 {
			t.Error("the hedge was not cancelled")
		}
		if got := c.Stats(); got.Hedges != 1 || got.HedgeWins != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestHedgeAtThePercentile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var while, other atomic.Int64
		w := newWorld(t, func(ctx context.Context, addr string, _ int) error {
			timer := time.NewTimer(time.Duration(map[string]*atomic.Int64{"a": &while, "b": &other}[addr].Load()))
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			return ctx.Err()
		}, "a", "b")
		c := w.client(t, func(op *client.SGOption) { op.FailMode, op.AttemptTimeout = client.FailOver, -1 })
		ctx := client.With(context.Background(), client.Hedge())
		call := func(took time.Duration) time.Duration {
			t.Helper()
			while.Store(int64(took))
			begun := time.Now()
			if err := c.Call(ctx, "Echo.Do", &text{}, nil); err != nil {
				t.Fatal(err)
			}
			return time.Since(begun)
		}
		// As long as too little is known, nothing is hedged.
		if took := call(500 * ms); took != 500*ms || c.Stats().Hedges != 0 {
			t.Errorf("%v, %+v", took, c.Stats())
		}
		for range 99 {
			call(10 * ms) // 99 % of a hundred answers
		}
		hedges := c.Stats().Hedges
		took := call(500 * ms)
		if took <= 10*ms || took > 11250*time.Microsecond {
			t.Errorf("hedged after %v, want the 10 ms that nearly all take, to within an eighth", took)
		}
		if got := c.Stats(); got.Hedges != hedges+1 || got.HedgeWins != hedges+1 {
			t.Errorf("%+v", got)
		}
		// What lost counts as just as slow as that: it is the hedge that answered,
		// and an eighth of the answers are given as soon as can be.
		for range 12 {
			call(500 * ms)
			time.Sleep(100 * ms)
		}
		if again := call(500 * ms); again != took {
			t.Errorf("hedged after %v, and after %v when an eighth of the attempts had lost", took, again)
		}
		// Answers that are given count for what they took: who is slow may be
		// faster than the hedge.
		other.Store(int64(time.Minute))
		for range 12 {
			call(300 * ms)
			time.Sleep(100 * ms)
		}
		if other.Store(0); call(500*ms) <= 300*ms {
			t.Error("a tenth of the answers took 300 ms, and still less than that is slow")
		}
	})
}

// A provider that hangs, though its heartbeats are answered, costs the calls that
// meet it the delay and no more, however long it hangs: what lost teaches nothing
// of how long answers take.
func TestHedgesGoOnAsLongAsAProviderHangs(t *testing.T) {
	for _, test := range []struct {
		providers int
		wins      uint64 // of a hundred calls, at least
	}{
		{10, 9},
		{3, 10}, // a third of the calls is more than the budget: some time out
	} {
		t.Run(fmt.Sprint("one of ", test.providers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(ctx context.Context, addr string, _ int) error {
					if addr != p(0) {
						time.Sleep(ms)
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}, addrs(test.providers)...)
				c := w.client(t, func(op *client.SGOption) {
					op.FailMode, op.Retries, op.RequestTimeout = client.FailOver, 2, time.Second
					op.Hedged = []string{"*"}
					op.Selector = selector.NewRoundRobinSelector()
				})
				const calls = 10 * 60 * 5 // ten a second for five minutes
				var worst time.Duration   // of the calls that a hedge won
				for i := range calls {
					begun, wins := time.Now(), c.Stats().HedgeWins
					err := c.Call(context.Background(), "Echo.Do", &text{}, nil)
					took := time.Since(begun)
					if c.Stats().HedgeWins > wins {
						worst = max(worst, took)
					}
					if err != nil && test.providers == 10 && i > 100 {
						t.Fatalf("call %d: %v", i, err)
					}
					time.Sleep(max(0, 100*ms-took))
				}
				if delay := worst - ms; delay > 5*ms {
					t.Errorf("one that answers within %v is hedged after %v", ms, delay)
				}
				if got := c.Stats(); got.HedgeWins < calls*test.wins/100 || got.HedgeWins > calls/5 {
					t.Errorf("%d calls, %+v", calls, got)
				}
			})
		})
	}
}

// Who loses against hedges is slow, to a selector that looks at latency, and is
// called now and then to see whether it still is.
func TestSelectorsHearOfWhoLosesAgainstHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		w := newWorld(t, func(ctx context.Context, addr string, _ int) error {
			if hangs.Load() && addr == p(0) {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(ms)
			return nil
		}, addrs(10)...)
		c := w.client(t, func(op *client.SGOption) {
			hedging(op)
			op.Selector, op.HedgeDelay = selector.NewP2CSelector(), 2*ms
		})
		// asked returns how many of 1,000 calls in ten seconds go to p0.
		asked := func() int32 {
			before := w.providers[p(0)].calls.Load()
			for range 1000 {
				if err := c.Call(context.Background(), "Echo.Do", &text{}, nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(9 * ms)
			}
			return w.providers[p(0)].calls.Load() - before
		}
		asked()
		hangs.Store(true)
		if n := asked(); n == 0 || n > 20 {
			t.Errorf("it hangs, and %d of 1,000 calls went there", n)
		}
	})
}

// addrs are those of so many providers: p0, p1 and so on.
func addrs(providers int) (list []string) {
	for i := range providers {
		list = append(list, p(i))
	}
	return list
}

func TestHedgesKeepToTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowAt{addr: "a", while: 60 * ms}
		w := newWorld(t, slow.do, "a", "b")
		c := w.client(t, func(op *client.SGOption) {
			hedging(op)
			op.RetryBudgetMin = -1
		})
		for range 50 {
			if err := c.Call(context.Background(), "Echo.Do", &text{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Stats(); got.Hedges != 10 || got.BudgetRefused != 40 || got.BudgetLeft != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// What is an answer ends the race, what is none leaves it to the other.
func TestWhichFailureEndsAHedgedCall(t *testing.T) {
	for _, test := range []struct {
		name  string
		fails protocol.Code // of the first attempt, after 50 ms; the hedge answers after 70 ms
		want  protocol.Code
		took  time.Duration
	}{
		{"no room", protocol.ResourceExhausted, protocol.OK, 70 * ms},
		{"a business error", protocol.NotFound, protocol.NotFound, 50 * ms},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(_ context.Context, addr string, _ int) error {
					if addr == "b" {
						time.Sleep(40 * ms)
						return nil
					}
					time.Sleep(50 * ms)
					return protocol.NewError(test.fails, "")
				}, "a", "b")
				c := w.client(t, hedging)
				begun := time.Now()
				err := c.Call(context.Background(), "Echo.Do", &text{}, nil)
				if protocol.CodeOf(err) != test.want || time.Since(begun) != test.took {
					t.Errorf("%v after %v", err, time.Since(begun))
				}
			})
		})
	}
}

// One attempt ends the call while the other is inside the method: the outcome is that of
// both, whichever is heard of first.
func TestOutcomeOfAHedgedCallIsThatOfBothAttempts(t *testing.T) {
	for _, test := range []struct {
		name  string
		hedge func(w *world) // what awaits it at b
		want  protocol.Code
	}{
		{"the hedge is refused", func(w *world) {
			w.providers["b"].refusal.Store(protocol.NewError(protocol.Unimplemented, "not here"))
		}, protocol.Unimplemented},
		{"the caller goes, and the hedge was not sent", func(w *world) {
			w.n.SetFaultsAt("b", transport.MemFaults{HangDials: true})
		}, protocol.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(ctx context.Context, _ string, _ int) error { <-ctx.Done(); return ctx.Err() }, "a", "b")
				c := w.client(t, func(op *client.SGOption) {
					hedging(op)
					op.RetryBudget = -1
				})
				test.hedge(w)
				for range 20 {
					ctx, cancel := context.WithCancel(context.Background())
					time.AfterFunc(100*ms, cancel)
					wantError(t, c.Call(ctx, "Echo.Do", &text{}, nil), test.want, protocol.MaybeRun, "")
					cancel()
				}
				if got := c.Stats(); got.Hedges != 20 || w.took() != strings.Repeat("a", 20) {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// Both fail: the call is tried again as any other, and the story has all.
func TestHedgeAndFirstBothFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, addr string, _ int) error {
			if addr == "c" {
				return nil
			}
			time.Sleep(50 * ms)
			return protocol.NewError(protocol.Unavailable, "")
		}, "a", "b", "c")
		c := w.client(t, hedging)
		resp, err := client.Invoke[text](context.Background(), c, "Echo.Do", &text{})
		if err != nil || resp.S != "c" || w.took() != "abc" {
			t.Errorf("%v, %v", resp, err)
		}
		w = newWorld(t, func(context.Context, string, int) error {
			time.Sleep(50 * ms)
			return protocol.NewError(protocol.Unavailable, "")
		}, "a", "b", "c")
		c = w.client(t, func(op *client.SGOption) { hedging(op); op.Retries = 1 })
		err = c.Call(context.Background(), "Echo.Do", &text{}, nil)
		story, ok := client.Explain(err)
		if !ok || len(story.Attempts) != 3 || story.Attempts[0].Hedge || !story.Attempts[1].Hedge || story.Attempts[2].Hedge || story.Attempts[2].Number != 2 {
			t.Errorf("%v", story)
		}
	})
}

// The time of the call bounds both attempts.
func TestHedgedCallKeepsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(context.Context, string, int) error { time.Sleep(time.Minute); return nil }, "a", "b")
		c := w.client(t, func(op *client.SGOption) { hedging(op); op.Retries = -1 })
		begun := time.Now()
		err := c.Call(context.Background(), "Echo.Do", &text{}, nil)
		wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun, "within RequestTimeout (1s)")
		if time.Since(begun) != time.Second {
			t.Errorf("after %v", time.Since(begun))
		}
	})
}

// Nothing is hedged that may not be: FailFast, oneways, one provider alone.
func TestWhatIsNotHedged(t *testing.T) {
	ctx := client.With(context.Background(), client.Hedge())
	slow := &slowAt{addr: "a", while: 100 * ms}
	for _, test := range []struct {
		name  string
		addrs []string
		mode  client.FailMode
		call  func(c client.SGClient) error
	}{
		{"FailFast", []string{"a", "b"}, client.FailFast, func(c client.SGClient) error { return c.Call(ctx, "Echo.Do", &text{}, nil) }},
		{"a oneway", []string{"a", "b"}, client.FailOver, func(c client.SGClient) error { return c.Notify(ctx, "Echo.Do", &text{}) }},
		{"one provider", []string{"a"}, client.FailOver, func(c client.SGClient) error { return c.Call(ctx, "Echo.Do", &text{}, nil) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, slow.do, test.addrs...)
				c := w.client(t, func(op *client.SGOption) { op.FailMode, op.HedgeDelay = test.mode, 10*ms })
				if err := test.call(c); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				if got := w.took(); got != "a" || c.Stats().Hedges != 0 {
					t.Errorf("ran at %q, %+v", got, c.Stats())
				}
			})
		})
	}
}

// A panic in an attempt that runs on a worker costs that attempt.
func TestPanicInAHedgedAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet(t)
		w := newWorld(t, always, "a", "b")
		c := w.client(t, func(op *client.SGOption) {
			hedging(op)
			op.Wrappers = []client.Wrapper{panicking{}}
		})
		err := c.Call(context.Background(), "Echo.Do", &text{}, nil)
		wantError(t, err, protocol.Internal, protocol.MaybeRun, "panicked")
	})
}

type panicking struct{}

func (panicking) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc { return next }

func (panicking) WrapAttempt(*client.SGOption, client.AttemptFunc) client.AttemptFunc {
	return func(context.Context, *client.Attempt) error { panic("in a wrapper") }
}

// Many hedged calls at one time, whose attempts end in every order: each caller
// gets its own reply, once. The race detector is what this is for.
func TestHedgedCallsShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := transport.NewMemNetwork(), memory.NewRegistry("")
		for _, addr := range []string{"a", "b", "c"} {
			listenMem(t, n, addr).handle("Echo.Jitter", func(_ context.Context, req *text) (*text, error) {
				time.Sleep(time.Duration(rand.IntN(8)) * ms)
				return &text{S: strings.ToUpper(req.S)}, nil
			})
			list(t, r, addr, nil)
		}
		c := newSG(t, n, r, func(op *client.SGOption) {
			op.FailMode, op.HedgeDelay, op.RetryBudget = client.FailOver, 3*ms, -1
		})
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				req, resp := text{}, text{}
				var meta map[string]string
				ctx := client.With(context.Background(), client.Hedge(), client.ReplyMeta(&meta))
				for j := range 50 {
					req.S = fmt.Sprint("call ", i, " ", j) // the attempts before have let go of it
					if err := c.Call(ctx, "Echo.Jitter", &req, &resp); err != nil || resp.S != strings.ToUpper(req.S) {
						t.Errorf("%q: %v, %v", req.S, resp, err)
					}
				}
			})
		}
		wg.Wait()
		if got := c.Stats(); got.Hedges < 100 || got.HedgeWins == 0 || got.InFlight != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// wellKnown answers attempts itself.
type wellKnown struct{}

func (wellKnown) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc { return next }

func (wellKnown) WrapAttempt(*client.SGOption, client.AttemptFunc) client.AttemptFunc {
	return func(context.Context, *client.Attempt) error { return nil }
}

// What an AttemptWrapper answers without a call leaves the reply as it is, whoever made
// the attempt.
func TestAttemptsThatAWrapperAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, "a", "b")
		c := w.client(t, func(op *client.SGOption) {
			hedging(op)
			op.Wrappers = []client.Wrapper{wellKnown{}}
		})
		for name, call := range map[string]func(resp *text) error{
			"alone":  func(resp *text) error { return c.Call(context.Background(), "Echo.Other", &text{}, resp) },
			"hedged": func(resp *text) error { return c.Call(context.Background(), "Echo.Do", &text{}, resp) },
			"forked": func(resp *text) error { return c.Fork(context.Background(), "Echo.Do", &text{}, resp, 2) },
		} {
			resp := text{S: "kept"}
			if err := call(&resp); err != nil || resp.S != "kept" {
				t.Errorf("%s: %v, %q", name, err, resp.S)
			}
		}
	})
}
