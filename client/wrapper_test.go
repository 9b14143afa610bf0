package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

// logged notes when it is passed, for calls and attempts.
type logged struct {
	name string
	into *[]string
}

func (l logged) WrapCall(option *client.SGOption, next client.CallFunc) client.CallFunc {
	*l.into = append(*l.into, fmt.Sprintf("%s wraps at %v", l.name, option.RequestTimeout))
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		*l.into = append(*l.into, l.name+" call "+serviceMethod)
		return next(ctx, serviceMethod, req, resp)
	}
}

// loggedTwice is a logged for attempts too.
type loggedTwice struct{ logged }

func (l loggedTwice) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	return func(ctx context.Context, a *client.Attempt) error {
		*l.into = append(*l.into, fmt.Sprintf("%s attempt %d at %s", l.name, a.Number, a.Provider.ProviderKey))
		return next(ctx, a)
	}
}

func TestWrappersAreComposedOnceFirstOutermost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{RequestTimeout: 2 * time.Second, Wrappers: []client.Wrapper{
			loggedTwice{logged{"outer", &got}}, logged{"middle", &got}, loggedTwice{logged{"inner", &got}},
		}})
		slices.Sort(got)
		want := []string{"inner wraps at 2s", "middle wraps at 2s", "outer wraps at 2s"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("composing: %q", got)
		}
		for range 2 {
			got = nil
			say(t, c)
			want = []string{"outer call Echo.Say", "middle call Echo.Say", "inner call Echo.Say", "outer attempt 0 at mem@a", "inner attempt 0 at mem@a"}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("calling: %q", got)
			}
		}
		got = nil
		if err := c.Notify(context.Background(), "Echo.Say", &text{}); err != nil || len(got) != 5 {
			t.Errorf("Notify: %q, %v", got, err)
		}
		got = nil
		if call := <-c.Go(context.Background(), "Echo.Say", &text{}, nil, nil).Done; call.Error != nil || len(got) != 5 {
			t.Errorf("Go: %q, %v", got, call.Error)
		}
	})
}

// answering is a wrapper that answers itself.
type answering func(ctx context.Context, next func(context.Context) error) error

func (f answering) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		return f(ctx, func(ctx context.Context) error { return next(ctx, serviceMethod, req, resp) })
	}
}

func TestNothingButProtocolErrorsLeave(t *testing.T) {
	mine := errors.New("mine")
	for _, test := range []struct {
		name    string
		wrapper answering
		code    protocol.Code
		outcome protocol.Outcome
		is      error
	}{
		{"an error of its own", func(context.Context, func(context.Context) error) error { return mine },
			protocol.Unknown, protocol.MaybeRun, mine},
		{"a context's", func(context.Context, func(context.Context) error) error { return context.Canceled },
			protocol.Canceled, protocol.MaybeRun, context.Canceled},
		{"one wrapped round the call's", func(ctx context.Context, next func(context.Context) error) error {
			return fmt.Errorf("%w: %w", mine, next(ctx))
		}, protocol.Unimplemented, protocol.Refused, mine},
		{"a refusal", func(context.Context, func(context.Context) error) error {
			return protocol.NewError(protocol.ResourceExhausted, "enough").WithOutcome(protocol.NotSent)
		}, protocol.ResourceExhausted, protocol.NotSent, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := transport.NewMemNetwork()
				listenMem(t, n, "a")
				c := dialMem(t, n, "a", client.Option{Wrappers: []client.Wrapper{test.wrapper}})
				err := c.Call(context.Background(), "No.Such", &text{}, nil)
				wantError(t, err, test.code, test.outcome, "")
				if test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("%v is not %v", err, test.is)
				}
			})
		})
	}
}

func TestGoNeverPanicsAndLosesNothing(t *testing.T) {
	log.SetHandler(slog.DiscardHandler) // the panic is logged with its stack
	defer log.SetHandler(nil)
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		panics := answering(func(ctx context.Context, next func(context.Context) error) error {
			if ctx.Value(perTest{}) != nil {
				panic("in a wrapper")
			}
			return next(ctx)
		})
		c := dialMem(t, n, "a", client.Option{Wrappers: []client.Wrapper{panics}})
		call := <-c.Go(context.WithValue(context.Background(), perTest{}, 1), "Echo.Say", &text{}, nil, nil).Done
		wantError(t, call.Error, protocol.Internal, protocol.MaybeRun, "panicked")

		done := make(chan *client.Call) // no room at all
		for range 10 {
			c.Go(context.Background(), "Echo.Say", &text{}, nil, done)
		}
		synctest.Wait()
		for range 10 {
			if call := <-done; call.Error != nil {
				t.Error(call.Error)
			}
		}
		c.Go(context.Background(), "Echo.Say", &text{}, nil, done)
		synctest.Wait()
		_ = c.Close() // nobody receives: it ends all the same
	})
}

// A wrapper may end the goroutine that it is on, as one of a test does by t.FailNow:
// who waits for the call hears of it.
func TestGoWhereAWrapperEndsTheGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := answering(func(context.Context, func(context.Context) error) error {
			runtime.Goexit()
			return nil
		})
		c := dialMem(t, transport.NewMemNetwork(), "a", client.Option{Wrappers: []client.Wrapper{ends}})
		call := <-c.Go(context.Background(), "Echo.Say", &text{}, nil, nil).Done
		wantError(t, call.Error, protocol.Internal, protocol.MaybeRun, "ended its goroutine")
		if err := c.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

type perTest struct{}

func TestReplyMetaAndMetaData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		p := listenMem(t, n, "a")
		p.handle("Echo.Reply", func(ctx context.Context, req *text) (*text, error) {
			if err := endpoint.Incoming(ctx).SetReplyMeta("shard", "7"); err != nil {
				return nil, err
			}
			if req.S != "" {
				return nil, errors.New(req.S)
			}
			return &text{}, nil
		})
		c := dialMem(t, n, "a", client.Option{MetaData: map[string]string{"who": "client", "app": "test"}})
		var meta map[string]string
		ctx := client.With(context.Background(), client.ReplyMeta(&meta), client.Key("k"), client.Idempotent(), client.Hedge())
		if err := c.Call(ctx, "Echo.Reply", &text{}, nil); err != nil || !reflect.DeepEqual(meta, map[string]string{"shard": "7"}) {
			t.Errorf("reply metadata %v, %v", meta, err)
		}
		if err := c.Call(ctx, "Echo.Reply", &text{"no"}, nil); err == nil || !reflect.DeepEqual(meta, map[string]string{"shard": "7"}) {
			t.Errorf("after an error: %v, %v", meta, err)
		}
		if err := c.Call(ctx, "Echo.Say", &text{}, nil); err != nil || meta != nil {
			t.Errorf("a reply without metadata left %v, %v", meta, err)
		}
		ctx = protocol.WithMeta(context.Background(), "who", "call")
		for key, want := range map[string]string{"who": "call", "app": "test"} {
			resp, err := client.Invoke[text](ctx, c, "Echo.Meta", &text{key})
			if err != nil || resp.S != want {
				t.Errorf("%s travelled as %v, %v", key, resp, err)
			}
		}
		for name, ctx := range map[string]context.Context{
			"WithMeta": protocol.WithMeta(ctx, "sinew-auth", "x"),
			"Tags":     client.With(ctx, client.Tags(map[string]string{"idc": "a\nb"})),
		} {
			err := c.Call(ctx, "Echo.Say", &text{}, nil)
			wantError(t, err, protocol.InvalidArgument, protocol.NotSent, "")
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		err := c.Call(context.Background(), "NoDot", &text{}, nil)
		wantError(t, err, protocol.InvalidArgument, protocol.NotSent, `"NoDot"`)
	})
}

func TestProvidersCallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		p := listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{Identities: []string{"tc-1", "tc-2"}, Auth: "secret"})
		if err := client.Handle(c, "Part.Commit", func(_ context.Context, req *text) (*text, error) {
			return &text{"committed " + req.S}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := c.RegisterName("Calc", calc{}); err != nil {
			t.Fatal(err)
		}
		if err := c.Register(calc{}); err == nil {
			t.Error("a type without an exported name was registered")
		}
		say(t, c)
		for round := range 2 {
			var caller endpoint.Caller
			s := p.session(round)
			var resp text
			if err := caller.Call(context.Background(), s, "Part", "Commit", &text{"x"}, &resp, nil); err != nil || resp.S != "committed x" {
				t.Errorf("round %d: %v, %v", round, resp, err)
			}
			if err := caller.Call(context.Background(), s, "Calc", "Twice", &text{"x"}, &resp, nil); err != nil || resp.S != "xx" {
				t.Errorf("round %d: %v, %v", round, resp, err)
			}
			synctest.Wait() // a hello is told on a worker
			if got := p.hello(round).MetaData; got[protocol.MetaIdentity] != "tc-1,tc-2" || got[protocol.MetaAuth] != "secret" {
				t.Errorf("round %d: hello %v", round, got)
			}
			n.CutAll()
			synctest.Wait()
			say(t, c)
		}
		if err := client.Handle(fake{}, "A.B", func(context.Context, *text) (*text, error) { return nil, nil }); err == nil {
			t.Error("Handle took a client of another make")
		}
	})
}

type calc struct{}

// Twice says it twice.
func (calc) Twice(_ context.Context, req, resp *text) error {
	resp.S = req.S + req.S
	return nil
}

type fake struct{ client.RPCClient }

// failing answers calls, or attempts alone, with an error of its own.
type failing struct {
	err      error
	attempts bool
}

func (f failing) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	if f.attempts {
		return next
	}
	return func(context.Context, string, any, any) error { return f.err }
}

func (f failing) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	if !f.attempts {
		return next
	}
	return func(context.Context, *client.Attempt) error { return f.err }
}

// A wrapper that returns a *protocol.Error which is nil, as itself or within another
// error, has failed the call without saying how.
func TestWrappersThatReturnANilError(t *testing.T) {
	none := (*protocol.Error)(nil)
	for _, w := range []failing{
		{none, false}, {none, true}, {fmt.Errorf("quota: %w", none), false}, {fmt.Errorf("quota: %w", none), true},
	} {
		t.Run(fmt.Sprintf("%v %v", w.err, w.attempts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := transport.NewMemNetwork()
				listenMem(t, n, "a")
				for _, c := range []client.RPCClient{
					dialMem(t, n, "a", client.Option{Wrappers: []client.Wrapper{w}}),
					newSG(t, n, registry.NewPeer2PeerRegistry().WithProvider(at("a")), func(op *client.SGOption) {
						op.Wrappers = []client.Wrapper{w}
					}),
				} {
					err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
					wantError(t, err, protocol.Unknown, protocol.MaybeRun, w.err.Error())
				}
			})
		})
	}
}
