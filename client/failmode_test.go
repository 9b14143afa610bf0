package client_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/selector"
	"github.com/sinew-rpc/sinew/transport"
)

// inOrder picks the first that is offered, so that a test knows where a call
// goes.
type inOrder struct{}

func (inOrder) New() selector.Selector { return inOrder{} }

func (inOrder) Pick(_ context.Context, _ selector.PickInfo, nodes []*selector.Node) *selector.Node {
	var first *selector.Node
	for _, n := range nodes {
		if first == nil || n.Provider.Addr < first.Provider.Addr {
			first = n
		}
	}
	return first
}

// world is some providers and what happened at them, in order.
type world struct {
	t         *testing.T
	n         *transport.MemNetwork
	r         *memory.Registry
	providers map[string]*provider
	ran       chan string // "addr" for each run of Echo.Do; nil: nobody looks
}

// newWorld starts a provider at each address. Echo.Do is answered by do.
func newWorld(t *testing.T, do func(ctx context.Context, addr string, run int) error, addrs ...string) *world {
	w := &world{t: t, n: transport.NewMemNetwork(), r: memory.NewRegistry(""), providers: make(map[string]*provider), ran: make(chan string, 1000)}
	for _, addr := range addrs {
		p := listenMem(t, w.n, addr)
		p.handle("Echo.Do", func(ctx context.Context, _ *text) (*text, error) {
			select {
			case w.ran <- addr:
			default:
			}
			if err := do(ctx, addr, int(p.calls.Add(1))); err != nil {
				return nil, err
			}
			return &text{S: addr}, nil
		})
		w.providers[addr] = p
		list(t, w.r, addr, nil)
	}
	return w
}

// client returns one that picks in order of the addresses.
func (w *world) client(t *testing.T, change func(*client.SGOption)) client.SGClient {
	return newSG(t, w.n, w.r, func(op *client.SGOption) {
		op.Selector = inOrder{}
		if change != nil {
			change(op)
		}
	})
}

// listed returns what the registry lists of addr.
func (w *world) listed(addr string) registry.Provider {
	all, _, err := w.r.Providers(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range all {
		if p.Addr == addr {
			return p
		}
	}
	w.t.Fatalf("%s is not listed", addr)
	return registry.Provider{}
}

// took returns where Echo.Do ran since the last time.
func (w *world) took() string {
	where := ""
	for {
		select {
		case addr := <-w.ran:
			where += addr
		default:
			return where
		}
	}
}

// code is a handler that always fails with it.
func code(c protocol.Code) func(context.Context, string, int) error {
	return func(context.Context, string, int) error { return protocol.NewError(c, "on purpose") }
}

// elsewhere says so once, at a.
func elsewhere(_ context.Context, addr string, run int) error {
	if addr == "a" && run == 1 {
		return &protocol.Error{Code: protocol.FailedPrecondition, Message: "not mine", Elsewhere: true}
	}
	return nil
}

var idempotent = client.With(context.Background(), client.Idempotent())

// Retried are calls by what the rules look at: mode, outcome, code, idempotence.
func TestWhoIsTriedAgain(t *testing.T) {
	const over, again = client.FailOver, client.FailRetry
	plain := context.Background()
	for _, test := range []struct {
		name string
		mode client.FailMode
		ctx  context.Context
		do   func(ctx context.Context, addr string, run int) error
		ran  string // where, in order
		code protocol.Code
	}{
		{"FailFast is one attempt", client.FailFast, idempotent, code(protocol.Unavailable), "a", protocol.Unavailable},
		{"FailOver goes to others, and on round", over, idempotent, code(protocol.Unavailable), "abca", protocol.Unavailable},
		{"FailRetry stays", again, idempotent, code(protocol.Unavailable), "aaaa", protocol.Unavailable},
		{"what ran is not run again", over, plain, code(protocol.Unavailable), "a", protocol.Unavailable},
		{"nor where it stays", again, plain, code(protocol.Unavailable), "a", protocol.Unavailable},
		{"a business error is an answer", over, idempotent, code(protocol.NotFound), "a", protocol.NotFound},
		{"so is a bug", over, idempotent, code(protocol.Internal), "a", protocol.Internal},
		{"an error without a code too", over, idempotent, func(context.Context, string, int) error { return io.EOF }, "a", protocol.Unknown},
		{"a provider's Canceled too", over, idempotent, code(protocol.Canceled), "a", protocol.Canceled},
		{"no room is tried again", over, idempotent, code(protocol.ResourceExhausted), "abca", protocol.ResourceExhausted},
		{"a deadline of the handler's own is tried again", over, idempotent, code(protocol.DeadlineExceeded), "abca", protocol.DeadlineExceeded},
		{"Elsewhere is tried elsewhere", over, idempotent, elsewhere, "ab", protocol.OK},
		{"even where it stays", again, idempotent, elsewhere, "ab", protocol.OK},
		{"but only what may run again", over, plain, elsewhere, "a", protocol.FailedPrecondition},
		{"until one succeeds", over, idempotent, func(_ context.Context, addr string, _ int) error {
			if addr == "b" {
				return nil
			}
			return protocol.NewError(protocol.Unavailable, "")
		}, "ab", protocol.OK},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, test.do, "a", "b", "c")
				c := w.client(t, func(op *client.SGOption) {
					if op.FailMode = test.mode; test.mode != client.FailFast {
						op.Retries = 3
					}
				})
				err := c.Call(test.ctx, "Echo.Do", &text{}, nil)
				if protocol.CodeOf(err) != test.code {
					t.Errorf("%v, want %v", err, test.code)
				}
				if err != nil && protocol.OutcomeOf(err) != protocol.Ran {
					t.Errorf("%v: outcome %v", err, protocol.OutcomeOf(err))
				}
				if got := w.took(); got != test.ran {
					t.Errorf("ran at %q, want %q", got, test.ran)
				}
				if got := c.Stats(); got.Attempts != uint64(len(test.ran)) || got.Retries != uint64(len(test.ran)-1) || got.InFlight != 0 {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// always is a handler that succeeds.
func always(context.Context, string, int) error { return nil }

// What a provider refused before it ran is tried again, idempotent or not, once
// the time is over that it asked for.
func TestRefusedIsTriedAgainAfterItsRetryAfter(t *testing.T) {
	for _, mode := range []client.FailMode{client.FailOver, client.FailRetry} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, always, "a", "b")
			w.providers["a"].refusal.Store(&protocol.Error{Code: protocol.ResourceExhausted, Message: "full", RetryAfter: 300 * time.Millisecond})
			c := w.client(t, func(op *client.SGOption) { op.FailMode = mode })
			time.AfterFunc(299*time.Millisecond, func() { w.providers["a"].refusal.Store(nil) })
			begun := time.Now()
			resp, err := client.Invoke[text](context.Background(), c, "Echo.Do", &text{})
			want := map[client.FailMode]string{client.FailOver: "b", client.FailRetry: "a"}[mode]
			if err != nil || w.took() != want || resp.S != want {
				t.Errorf("%v: answered by %v, %v", mode, resp, err)
			}
			if took := time.Since(begun); took != 300*time.Millisecond {
				t.Errorf("%v: took %v", mode, took)
			}
		})
	}
}

// A provider that asks for more patience than the call has is not waited for.
func TestRetryAfterBeyondTheDeadlineEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, always, "a", "b")
		for _, p := range w.providers {
			p.refusal.Store(&protocol.Error{Code: protocol.ResourceExhausted, Message: "full", RetryAfter: time.Minute})
		}
		c := w.client(t, func(op *client.SGOption) { op.FailMode = client.FailOver })
		begun := time.Now()
		err := c.Call(context.Background(), "Echo.Do", &text{}, nil)
		wantError(t, err, protocol.ResourceExhausted, protocol.Refused, "full")
		if story, ok := client.Explain(err); !ok || story.Stop != client.StopRequestTimeout || time.Since(begun) != 0 {
			t.Errorf("%v after %v", story, time.Since(begun))
		}
	})
}

// Who says Elsewhere, as the breaker of a method does, keeps no call waiting that
// another provider may serve.
func TestElsewhereIsNotWaitedFor(t *testing.T) {
	for _, mode := range []client.FailMode{client.FailOver, client.FailRetry} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, always, "a", "b", "c")
			w.providers["a"].refusal.Store(&protocol.Error{Code: protocol.Unavailable, Elsewhere: true, RetryAfter: 900 * time.Millisecond})
			c := w.client(t, func(op *client.SGOption) {
				op.FailMode, op.RequestTimeout = mode, 500*time.Millisecond
			})
			begun := time.Now()
			resp, err := client.Invoke[text](context.Background(), c, "Echo.Do", &text{})
			if err != nil || resp.S != "b" {
				t.Errorf("%v: answered by %v, %v", mode, resp, err)
			}
			if took := time.Since(begun); took > 10*time.Millisecond { // the pause before every retry
				t.Errorf("%v: took %v", mode, took)
			}
		})
	}
}

// Where all have said Elsewhere, they are left alone for as long as they ask.
func TestElsewhereOfAllIsWaitedFor(t *testing.T) {
	for _, mode := range []client.FailMode{client.FailOver, client.FailRetry} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, always, "a", "b")
			for _, p := range w.providers {
				p.refusal.Store(&protocol.Error{Code: protocol.Unavailable, Elsewhere: true, RetryAfter: 300 * time.Millisecond})
				time.AfterFunc(299*time.Millisecond, func() { p.refusal.Store(nil) })
			}
			c := w.client(t, func(op *client.SGOption) { op.FailMode, op.RetryBackoff = mode, -1 })
			begun := time.Now()
			resp, err := client.Invoke[text](context.Background(), c, "Echo.Do", &text{})
			if err != nil || resp.S != "a" || time.Since(begun) != 300*time.Millisecond {
				t.Errorf("%v: answered by %v, %v after %v", mode, resp, err, time.Since(begun))
			}
		})
	}
}

// Where there is nobody else, FailOver does not wait to find that out.
func TestFailOverWithOneProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, code(protocol.Unavailable), "a")
		c := w.client(t, func(op *client.SGOption) { op.FailMode, op.RetryBackoff = client.FailOver, 100*time.Millisecond })
		begun := time.Now()
		err := c.Call(idempotent, "Echo.Do", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.Ran, "on purpose")
		if story, _ := client.Explain(err); story.Stop != client.StopProviders || time.Since(begun) != 0 || c.Stats().BudgetLeft != 10 {
			t.Errorf("%v after %v, %+v", story, time.Since(begun), c.Stats())
		}
	})
}

// FailRetry leaves a provider that is draining or gone.
func TestFailRetryMovesOnWhenItsProviderLeaves(t *testing.T) {
	for _, test := range []struct {
		name  string
		leave func(w *world)
	}{
		{"draining", func(w *world) { w.providers["a"].leave() }},
		{"said to drain by the registry", func(w *world) {
			p := w.listed("a")
			p.Draining = true
			if err := w.r.Register(context.Background(), registry.RegisterOption{}, p); err != nil {
				w.t.Error(err)
			}
		}},
		{"listed no more", func(w *world) {
			if err := w.r.Unregister(context.Background(), registry.RegisterOption{}, w.listed("a")); err != nil {
				w.t.Error(err)
			}
		}},
		{"gone", func(w *world) { go w.providers["a"].stop() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w *world
				w = newWorld(t, func(_ context.Context, addr string, _ int) error {
					if addr != "a" {
						return nil
					}
					test.leave(w)
					return protocol.NewError(protocol.Unavailable, "leaving")
				}, "a", "b")
				c := w.client(t, func(op *client.SGOption) { op.FailMode = client.FailRetry })
				if err := c.Call(idempotent, "Echo.Do", &text{}, nil); err != nil {
					t.Error(err)
				}
				if got := w.took(); got != "ab" {
					t.Errorf("ran at %q", got)
				}
			})
		})
	}
}

// A single provider that is restarted is waited for by FailRetry.
func TestFailRetryOutlastsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, always, "a")
		c := w.client(t, func(op *client.SGOption) {
			op.FailMode, op.Retries = client.FailRetry, 3
			op.RedialInitial = 20 * time.Millisecond
		})
		say(t, c)
		w.providers["a"].stop()
		synctest.Wait()
		time.AfterFunc(15*time.Millisecond, func() { listenMem(t, w.n, "a") })
		say(t, c)
	})
}

// The outcome that a call ends with is that of all its attempts together.
func TestOutcomeOfSeveralAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(context.Context, string, int) error {
			time.Sleep(time.Second)
			return nil
		}, "a", "b")
		c := w.client(t, func(op *client.SGOption) {
			op.FailMode, op.Retries, op.AttemptTimeout = client.FailOver, 1, 100*time.Millisecond
		})
		w.providers["b"].refusal.Store(protocol.NewError(protocol.Unavailable, "not now"))
		err := c.Call(idempotent, "Echo.Do", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.MaybeRun, "not now")
		wantError(t, err, protocol.Unavailable, protocol.MaybeRun, "mem@a DeadlineExceeded (AttemptTimeout) MaybeRun in 100ms")
	})
}

func TestFailSafeSwallows(t *testing.T) {
	var lines logLines
	log.SetHandler(&lines)
	defer log.SetHandler(nil)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, code(protocol.Unavailable), "a", "b")
		c := w.client(t, func(op *client.SGOption) { op.FailMode = client.FailSafe })
		for range 10 {
			resp, err := client.Invoke[text](idempotent, c, "Echo.Do", &text{})
			if err != nil || resp.S != "" {
				t.Errorf("%v, %v", resp, err)
			}
		}
		time.Sleep(time.Second)
		out, err := c.Do(context.Background(), &protocol.Message{Header: protocol.Header{ServiceName: "Echo", MethodName: "Do"}, Body: []byte{0x80}})
		if err != nil || out.MessageType != protocol.TypeResponse || out.StatusCode != protocol.OK || len(out.Body) != 0 {
			t.Errorf("Do: %+v, %v", out, err)
		}
		if got := w.took(); got != "aaaaaaaaaaa" {
			t.Errorf("ran at %q", got)
		}
		if got := c.Stats(); got.Swallowed != 11 || got.Failures[protocol.Unavailable] != 11 || got.Retries != 0 {
			t.Errorf("%+v", got)
		}
	})
	if got := lines.all(); len(got) != 2 || !strings.Contains(got[0], `"Echo.Do"`) || !strings.Contains(got[1], "9 others") {
		t.Errorf("logged %q", got)
	}
}
