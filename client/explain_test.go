package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/selector"
)

// notAt keeps calls from an address.
type notAt struct {
	selector.BaseFilter
	addr string
}

func (f notAt) PerCall(_ context.Context, _ selector.PickInfo, n *selector.Node) bool {
	return n.Provider.Addr != f.addr
}

func TestAnErrorTellsItsStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, addr string, _ int) error {
			if addr == "a" {
				time.Sleep(time.Second)
			}
			return protocol.NewError(protocol.Unavailable, "busy")
		}, "a", "b")
		lf := map[string]string{"idc": "lf"}
		for _, addr := range []string{"a", "b", "dead", "shut"} {
			list(t, w.r, addr, lf)
		}
		list(t, w.r, "yf", map[string]string{"idc": "yf"})
		c := w.client(t, func(op *client.SGOption) {
			op.FailMode, op.Retries, op.AttemptTimeout = client.FailOver, 2, 100*ms
			op.Auth = "s3cret"
			op.Tagged, op.Tags = true, lf
			op.Filters = []selector.Filter{notAt{addr: "shut"}}
		})
		err := c.Call(idempotent, "Echo.Do", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.Ran, "Retries are used up")
		story, ok := client.Explain(fmt.Errorf("wrapped: %w", err))
		if !ok {
			t.Fatalf("%v has no story", err)
		}
		type brief struct {
			provider string
			number   int
			move     bool
			took     time.Duration
			outcome  protocol.Outcome
		}
		want := []brief{
			{"mem@a", 0, false, 100 * ms, protocol.MaybeRun},
			{"mem@b", 1, false, 0, protocol.Ran},
			{"mem@dead", 2, true, 0, protocol.NotSent},
		}
		for i, a := range story.Attempts {
			if got := (brief{a.Provider, a.Number, a.Move, a.Took, a.Outcome}); i >= len(want) || got != want[i] {
				t.Errorf("attempt %d: %+v", i, got)
			}
			if a.Err == nil || a.Code != protocol.CodeOf(a.Err) || a.Timeout != 100*ms {
				t.Errorf("attempt %d: %+v", i, a)
			}
		}
		if story.Stop != client.StopRetries || story.ServiceMethod != "Echo.Do" || story.FailMode != client.FailOver || !story.Idempotent || story.NotShown != 0 {
			t.Errorf("%+v", story)
		}
		why := make(map[string]string)
		for _, p := range story.Providers {
			why[p.Provider] = p.Excluded
		}
		for key, says := range map[string]string{"mem@shut": "Filters[0] (client_test.notAt)", "mem@yf": "its tags"} {
			if !strings.Contains(why[key], says) {
				t.Errorf("%s was excluded since %q, want %q", key, why[key], says)
			}
		}
		if len(why) != 5 || why["mem@a"] != "" || why["mem@dead"] != "" {
			t.Errorf("%v", why)
		}
		all := err.Error() + story.String() + fmt.Sprintf("%+v", *story)
		if strings.Contains(all, "s3cret") {
			t.Error("the story tells the client's credentials")
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("Error() is more than a line: %q", err)
		}
		for _, says := range []string{"attempt 0: mem@a DeadlineExceeded (AttemptTimeout) MaybeRun in 100ms", "ended: Retries are used up", "provider mem@yf: client: its tags"} {
			if !strings.Contains(story.String(), says) {
				t.Errorf("%q does not say %q", story.String(), says)
			}
		}
	})
}

// What a method said keeps its text and its identity; the story is beside it.
func TestTheStoryOfABusinessError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, addr string, _ int) error {
			time.Sleep(20 * ms)
			return &protocol.Error{Code: protocol.NotFound, Message: "no such user", MetaData: map[string]string{"k": "v"}}
		}, "a")
		for _, mode := range []client.FailMode{client.FailFast, client.FailOver} {
			c := w.client(t, func(op *client.SGOption) { op.FailMode = mode })
			err := c.Call(context.Background(), "Echo.Do", &text{}, nil)
			var e *protocol.Error
			if !errors.As(err, &e) || e.Message != "no such user" || e.MetaData["k"] != "v" || !protocol.IsRemote(err) {
				t.Errorf("%v: %+v", mode, e)
			}
			story, ok := client.Explain(err)
			if !ok || len(story.Attempts) != 1 || story.Attempts[0].Provider != "mem@a" || story.Attempts[0].Took != 20*ms || story.Providers != nil {
				t.Errorf("%v: %+v", mode, story)
			}
		}
	})
}

// What stopped a call is told.
func TestWhatStopsACall(t *testing.T) {
	timeout := func(d time.Duration) func() (context.Context, context.CancelFunc) {
		return func() (context.Context, context.CancelFunc) { return context.WithTimeout(idempotent, d) }
	}
	for _, test := range []struct {
		name   string
		do     func(context.Context, string, int) error
		change func(*client.SGOption)
		ctx    func() (context.Context, context.CancelFunc)
		want   client.Stop
		says   string
	}{
		{"FailFast", code(protocol.Unavailable), func(op *client.SGOption) { op.FailMode, op.Retries = client.FailFast, 0 }, timeout(time.Minute), client.StopFailMode, ""},
		{"the code", code(protocol.NotFound), nil, timeout(time.Minute), client.StopCode, ""},
		{"the outcome", code(protocol.Unavailable), nil, func() (context.Context, context.CancelFunc) {
			return context.WithCancel(context.Background())
		}, client.StopOutcome, ""},
		{"Retries", code(protocol.Unavailable), nil, timeout(time.Minute), client.StopRetries, ""},
		{"the budget", code(protocol.Unavailable), func(op *client.SGOption) { op.RetryBudgetMin = -1 }, timeout(time.Minute), client.StopBudget, ""},
		{"RequestTimeout", code(protocol.Unavailable), func(op *client.SGOption) { op.RetryBackoff = 3 * time.Second }, timeout(time.Minute), client.StopRequestTimeout, ""},
		{"the caller's deadline", code(protocol.Unavailable), func(op *client.SGOption) { op.RetryBackoff = 3 * time.Second }, timeout(500 * ms), client.StopContext, ""},
		{"the caller's deadline, within RequestTimeout", func(context.Context, string, int) error { time.Sleep(time.Minute); return nil },
			func(op *client.SGOption) { op.AttemptTimeout = -1 }, timeout(500 * ms), client.StopContext, "deadline of the caller's context"},
		{"RequestTimeout, within the caller's deadline", func(context.Context, string, int) error { time.Sleep(time.Minute); return nil },
			func(op *client.SGOption) { op.AttemptTimeout = -1 }, timeout(time.Minute), client.StopRequestTimeout, "RequestTimeout (1s)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, test.do, "a", "b")
				c := w.client(t, func(op *client.SGOption) {
					op.FailMode, op.Retries = client.FailOver, 1
					if test.change != nil {
						test.change(op)
					}
				})
				ctx, cancel := test.ctx()
				defer cancel()
				err := c.Call(ctx, "Echo.Do", &text{}, nil)
				story, ok := client.Explain(err)
				if !ok || story.Stop != test.want || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%v: %v, want %v", err, story, test.want)
				}
			})
		})
	}
}

// A failed call shows a bounded number of providers.
func TestTheStoryOfManyProviders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, always)
		for i := range 100 {
			list(t, w.r, fmt.Sprintf("dead%03d", i), nil)
		}
		c := w.client(t, nil)
		err := c.Call(context.Background(), "Echo.Do", &text{}, nil)
		story, ok := client.Explain(err)
		if !ok || len(story.Providers) != 32 || story.NotShown != 68 {
			t.Errorf("%v", story)
		}
		if _, ok := client.Explain(errors.New("of another make")); ok {
			t.Error("a stranger has a story")
		}
	})
}

// What may be told outside is what a method said, or which limit ended the call.
func TestWhatAStoryTellsOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(ctx context.Context, addr string, _ int) error {
			if addr == "a" {
				<-ctx.Done()
				time.Sleep(time.Second) // the caller's limit and an answer at the same moment would be a draw
			}
			return protocol.NewError(protocol.Unavailable, "busy")
		}, "a", "b")
		for addr, want := range map[string]string{
			"a":    "no answer within RequestTimeout (1s)",
			"b":    "busy",
			"dead": "no provider can take the call now",
		} {
			c := w.client(t, func(op *client.SGOption) {
				op.FailMode, op.Retries, op.AttemptTimeout, op.RequestTimeout = client.FailRetry, 1, -1, time.Second
				op.Filters = []selector.Filter{onlyAt{addr: addr}}
			})
			list(t, w.r, addr, nil)
			err := c.Call(idempotent, "Echo.Do", &text{}, nil)
			if story, ok := client.Explain(err); !ok || story.Public() != want {
				t.Errorf("%s: tells %q of %v, want %q", addr, story.Public(), err, want)
			}
		}
	})
}

// onlyAt keeps calls from all other addresses.
type onlyAt struct {
	selector.BaseFilter
	addr string
}

func (f onlyAt) PerCall(_ context.Context, _ selector.PickInfo, n *selector.Node) bool {
	return n.Provider.Addr == f.addr
}
