package client_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/selector"
)

const ms = time.Millisecond

// times notes when a handler is entered and how long it has.
type times struct {
	mu sync.Mutex
	// Guarded by mu:
	at   []time.Time
	left []time.Duration
}

func (n *times) note(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.at = append(n.at, now)
	deadline, _ := ctx.Deadline()
	n.left = append(n.left, deadline.Sub(now))
}

// taken returns what was noted, and forgets it.
func (n *times) taken() (at []time.Time, left []time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, left = n.at, n.left
	n.at, n.left = nil, nil
	return at, left
}

// The pause before each retry is within the bounds of the policy, and all of
// them are used.
func TestBackoffBetweenRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var noted times
		w := newWorld(t, func(ctx context.Context, _ string, _ int) error {
			noted.note(ctx)
			return protocol.NewError(protocol.Unavailable, "")
		}, "a", "b")
		c := w.client(t, func(op *client.SGOption) {
			op.FailMode, op.Retries, op.RetryBudget = client.FailOver, 5, -1
			op.RetryBackoff, op.RetryBackoffMax = 8*ms, 50*ms
		})
		policy := backoff.Policy{Initial: 8 * ms, Max: 50 * ms}
		distinct := make(map[time.Duration]bool)
		for range 50 {
			err := c.Call(idempotent, "Echo.Do", &text{}, nil)
			at, _ := noted.taken()
			if err == nil || len(at) != 6 {
				t.Fatalf("%v after %d attempts", err, len(at))
			}
			for i := range 5 {
				low, high := policy.Bounds(i)
				pause := at[i+1].Sub(at[i])
				if distinct[pause] = true; pause < low || pause > high {
					t.Errorf("pause %d was %v, want %v to %v", i, pause, low, high)
				}
			}
		}
		if len(distinct) < 100 {
			t.Errorf("%d different pauses", len(distinct))
		}
	})
}

// A negative RetryBackoff is no pause, and the slices of an idempotent call are
// what is left divided by the attempts that are left. The time that a provider
// sees is that of its attempt.
func TestAttemptTimeouts(t *testing.T) {
	plain := context.Background()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		change func(*client.SGOption)
		left   []time.Duration // of each attempt
		says   string
	}{
		{"default", idempotent, nil, []time.Duration{250 * ms, 250 * ms, 250 * ms, 250 * ms}, "within RequestTimeout (1s)"},
		{"default, not idempotent", plain, nil, []time.Duration{time.Second}, "within RequestTimeout (1s)"},
		{"set", idempotent, func(op *client.SGOption) { op.AttemptTimeout = 100 * ms }, []time.Duration{100 * ms, 100 * ms, 100 * ms, 100 * ms}, "within AttemptTimeout (100ms)"},
		{"set, not idempotent", plain, func(op *client.SGOption) { op.AttemptTimeout = 100 * ms }, []time.Duration{100 * ms}, "within AttemptTimeout (100ms)"},
		{"set, longer than the call has", idempotent, func(op *client.SGOption) { op.AttemptTimeout = 600 * ms }, []time.Duration{600 * ms, 400 * ms}, "within RequestTimeout (1s)"},
		{"off", idempotent, func(op *client.SGOption) { op.AttemptTimeout = -1 }, []time.Duration{time.Second}, "within RequestTimeout (1s)"},
		{"no Retries", idempotent, func(op *client.SGOption) { op.Retries = -1 }, []time.Duration{time.Second}, "within RequestTimeout (1s)"},
		{"no limit at all", idempotent, func(op *client.SGOption) { op.RequestTimeout, op.AttemptTimeout = -1, 3*time.Second }, []time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second, 3 * time.Second}, "within AttemptTimeout (3s)"},
		{"FailFast", plain, func(op *client.SGOption) { op.FailMode, op.Retries, op.AttemptTimeout = client.FailFast, 0, 100*ms }, []time.Duration{100 * ms}, "within AttemptTimeout (100ms)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var noted times
				w := newWorld(t, func(ctx context.Context, _ string, _ int) error {
					noted.note(ctx)
					time.Sleep(time.Minute)
					return nil
				}, "a", "b", "c")
				c := w.client(t, func(op *client.SGOption) {
					op.FailMode, op.Retries, op.RetryBackoff = client.FailOver, 3, -1
					if test.change != nil {
						test.change(op)
					}
				})
				err := c.Call(test.ctx, "Echo.Do", &text{}, nil)
				wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun, test.says)
				if _, left := noted.taken(); !reflect.DeepEqual(left, test.left) {
					t.Errorf("attempts had %v, want %v", left, test.left)
				}
			})
		})
	}
}

// The caller's context ends a pause, and is what the error speaks of.
func TestContextEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, code(protocol.Unavailable), "a", "b")
		c := w.client(t, func(op *client.SGOption) {
			op.FailMode, op.RetryBackoff = client.FailOver, 500*ms
		})
		ctx, cancel := context.WithCancelCause(idempotent)
		mine := errors.New("mine")
		time.AfterFunc(100*ms, func() { cancel(mine) })
		begun := time.Now()
		err := c.Call(ctx, "Echo.Do", &text{}, nil)
		wantError(t, err, protocol.Canceled, protocol.Ran, "pause before the next attempt")
		if story, _ := client.Explain(err); story.Stop != client.StopContext || !errors.Is(err, mine) || !errors.Is(err, context.Canceled) || time.Since(begun) != 100*ms {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// Attempts are numbered, retries counted; what moves on keeps its number.
func TestNumbersOfAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, code(protocol.Unavailable), "b", "c")
		list(t, w.r, "a", nil) // and nobody is there
		var got []string
		picks := &countingSelector{}
		c := w.client(t, func(op *client.SGOption) {
			op.FailMode, op.Retries = client.FailOver, 1
			op.Selector = picks
			op.Wrappers = []client.Wrapper{loggedTwice{logged{"w", &got}}}
		})
		got = nil
		err := c.Call(idempotent, "Echo.Do", &text{}, nil)
		want := []string{"w call Echo.Do", "w attempt 0 at mem@a", "w attempt 0 at mem@b", "w attempt 1 at mem@c"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if picked := picks.numbers(); !slices.Equal(picked, []int{0, 0, 0}) && !slices.Equal(picked, []int{0, 0, 1}) {
			t.Errorf("picked for attempts %v", picked)
		}
		story, ok := client.Explain(err)
		if !ok || len(story.Attempts) != 3 || !story.Attempts[0].Move || story.Attempts[1].Number != 0 || story.Attempts[2].Number != 1 {
			t.Errorf("%v", story)
		}
		if got := c.Stats(); got.Moves != 1 || got.Retries != 1 || got.Attempts != 2 {
			t.Errorf("%+v", got)
		}
	})
}

// countingSelector is inOrder, and notes for which attempts it picked.
type countingSelector struct {
	inOrder
	mu sync.Mutex
	// Guarded by mu:
	attempts []int
}

func (s *countingSelector) New() selector.Selector { return s }

func (s *countingSelector) Pick(ctx context.Context, info selector.PickInfo, nodes []*selector.Node) *selector.Node {
	n := s.inOrder.Pick(ctx, info, nodes)
	if n != nil {
		s.mu.Lock()
		s.attempts = append(s.attempts, info.Attempt)
		s.mu.Unlock()
	}
	return n
}

func (s *countingSelector) numbers() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts)
}

// Not more than 8 providers that are gone are tried, however many are listed.
func TestMovesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, always, "z")
		for _, addr := range strings.Split("abcdefghijkl", "") {
			list(t, w.r, addr, nil)
		}
		c := w.client(t, nil)
		err := c.Call(context.Background(), "Echo.Do", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "too many providers")
		if story, _ := client.Explain(err); story.Stop != client.StopMoves || len(story.Attempts) != 9 {
			t.Errorf("%v", story)
		}
	})
}

// Methods are marked by name, by service, or all of them.
func TestIdempotentMethods(t *testing.T) {
	for pattern, again := range map[string]bool{"Echo.Do": true, "Echo.*": true, "*": true, "Echo.Say": false, "Ech.*": false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, code(protocol.Unavailable), "a", "b", "c")
			c := w.client(t, func(op *client.SGOption) {
				op.FailMode, op.Idempotent = client.FailOver, []string{pattern}
			})
			if err := c.Call(context.Background(), "Echo.Do", &text{}, nil); err == nil {
				t.Fatal("no error")
			}
			want := map[bool]string{true: "abc", false: "a"}[again]
			if got := w.took(); got != want {
				t.Errorf("%q: ran at %q, want %q", pattern, got, want)
			}
		})
	}
}

// A reply that is half decoded by a first attempt is never seen: each attempt
// owns what it writes, and the winner publishes once.
func TestRepliesAreDecodedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, addr string, _ int) error {
			if addr == "a" {
				time.Sleep(150 * ms) // its reply comes when nobody waits for it any more
			}
			return nil
		}, "a", "b")
		c := w.client(t, func(op *client.SGOption) {
			op.FailMode, op.AttemptTimeout = client.FailOver, 100*ms
		})
		var meta map[string]string
		resp := text{S: "before"}
		if err := c.Call(client.With(idempotent, client.ReplyMeta(&meta)), "Echo.Do", &text{}, &resp); err != nil || resp.S != "b" {
			t.Errorf("%v, %v", resp, err)
		}
		time.Sleep(time.Second)
		if resp.S != "b" {
			t.Errorf("the first attempt wrote %v", resp)
		}
	})
}

// When all providers fail half of their calls, the load that they get is not a
// multiple of what it was: retries keep to the budget, and few calls are lost
// that retries would have saved while it lasts.
func TestAnOutageIsNotAmplified(t *testing.T) {
	for _, test := range []struct {
		name   string
		budget float64
		least  float64 // attempts per call
		most   float64
	}{
		{"with the budget", 0, 1.15, 1.25},
		{"without", -1, 1.7, 1.8},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(context.Context, string, int) error {
					if rand.IntN(2) == 0 {
						return protocol.NewError(protocol.Unavailable, "half of all")
					}
					return nil
				}, "a", "b", "c")
				w.ran = nil
				c := newSG(t, w.n, w.r, func(op *client.SGOption) { op.FailMode, op.RetryBudget = client.FailOver, test.budget })
				end := time.Now().Add(30 * time.Second)
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						for time.Now().Before(end) {
							_ = c.Call(idempotent, "Echo.Do", &text{}, nil) // some fail
							time.Sleep(200 * ms)
						}
					})
				}
				wg.Wait()
				got := c.Stats()
				perCall := float64(got.Attempts) / float64(got.Calls)
				t.Logf("%d calls, %.3f attempts per call, %d failed, %d retries refused", got.Calls, perCall, got.Failures[protocol.Unavailable], got.BudgetRefused)
				if perCall < test.least || perCall >= test.most || got.Calls < 2500 {
					t.Errorf("%.3f attempts per call, want from %v to %v", perCall, test.least, test.most)
				}
			})
		})
	}
}
