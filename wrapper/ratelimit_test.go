package wrapper_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/ratelimit"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
)

// wantError checks code and outcome of a call's error, and when to come back.
func wantError(t *testing.T, err error, code protocol.Code, outcome protocol.Outcome, retryAfter time.Duration) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) || e.Code != code || protocol.OutcomeOf(err) != outcome || e.RetryAfter != retryAfter {
		t.Errorf("%v, outcome %v, %+v; want %v, %v, after %v", err, protocol.OutcomeOf(err), e, code, outcome, retryAfter)
	}
}

func TestRateLimitOnTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := &wrapper.RateLimit{Limiter: ratelimit.NewRateLimiter(10, 2)}
		c := pair(t, nil, []client.Wrapper{limit})
		begun := time.Now()
		for i := range 4 {
			if _, err := call(c, t.Context(), "Meta", ""); err != nil {
				t.Fatal(err)
			}
			if took, want := time.Since(begun), time.Duration(i)*100*time.Millisecond; took != want {
				t.Errorf("call %d went out after %v, want %v", i, took, want)
			}
		}
		hurried, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		_, err := call(c, hurried, "Meta", "")
		wantError(t, err, protocol.ResourceExhausted, protocol.NotSent, 40*time.Millisecond)

		givesUp, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, err = call(c, givesUp, "Meta", "")
		wantError(t, err, protocol.Canceled, protocol.NotSent, 0)
	})
}

func TestRateLimitWaitsAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct{ wait, after time.Duration }{{-1, 100 * time.Millisecond}, {30 * time.Millisecond, 70 * time.Millisecond}} {
			c := pair(t, nil, []client.Wrapper{&wrapper.RateLimit{Limiter: ratelimit.NewRateLimiter(10, 2), Wait: test.wait}})
			if _, err := call(c, t.Context(), "Meta", ""); err != nil {
				t.Fatal(err)
			}
			_, err := call(c, t.Context(), "Meta", "")
			wantError(t, err, protocol.ResourceExhausted, protocol.NotSent, test.after)
			time.Sleep(100 * time.Millisecond)
			if _, err := call(c, t.Context(), "Meta", ""); err != nil {
				t.Error(err)
			}
			c.Close()
		}
	})
}

func TestRateLimitOfAMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := func() *wrapper.RateLimit {
			return &wrapper.RateLimit{Methods: map[string]ratelimit.RateLimiter{"Words.Meta": ratelimit.NewRateLimiter(1, 0)}}
		}
		for outcome, c := range map[protocol.Outcome]client.RPCClient{
			protocol.NotSent: pair(t, nil, []client.Wrapper{limit()}),
			protocol.Refused: pair(t, []server.Wrapper{limit()}, nil),
		} {
			if _, err := call(c, t.Context(), "Meta", ""); err != nil {
				t.Fatal(err)
			}
			_, err := call(c, t.Context(), "Meta", "")
			wantError(t, err, protocol.ResourceExhausted, outcome, time.Second)
			for range 3 { // of a method without a limit
				_, err = call(c, t.Context(), "Fail", "")
				wantError(t, err, protocol.Unknown, protocol.Ran, 0)
			}
		}
	})
}

func TestRateLimitOnTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := pair(t, []server.Wrapper{&wrapper.RateLimit{Limiter: ratelimit.NewRateLimiter(4, 8)}}, nil)
		if _, err := call(c, t.Context(), "Meta", ""); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err := call(c, t.Context(), "Meta", "")
		wantError(t, err, protocol.ResourceExhausted, protocol.Refused, 250*time.Millisecond)
		if took := time.Since(begun); took != 0 {
			t.Errorf("refused after %v", took)
		}
		var e *protocol.Error
		errors.As(err, &e)
		time.Sleep(e.RetryAfter)
		if _, err := call(c, t.Context(), "Meta", ""); err != nil {
			t.Errorf("come back when told to: %v", err)
		}
	})
}

// clientOf connects to a server at "words" of network under an identity.
func clientOf(t *testing.T, network *transport.MemNetwork, identity string) client.RPCClient {
	t.Helper()
	var identities []string
	if identity != "" {
		identities = append(identities, identity)
	}
	c, err := client.NewRPCClient("mem", "words", &client.Option{Mem: network, Identities: identities})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRateLimitOfEachClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := transport.NewMemNetwork()
		limit := &wrapper.RateLimit{Clients: &ratelimit.PerKey{New: func(string) ratelimit.RateLimiter { return ratelimit.NewRateLimiter(1, 0) }}}
		s, err := server.NewSGServer(&server.Option{
			Mem:      network,
			Wrappers: []server.Wrapper{limit},
			Identify: func(_ context.Context, _ *protocol.Header, claimed []string) ([]string, error) { return claimed, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		serveWords(t, s)
		for _, identity := range []string{"ann", "bob"} {
			c := clientOf(t, network, identity)
			if _, err := call(c, t.Context(), "Meta", ""); err != nil {
				t.Errorf("%s: %v", identity, err)
			}
			synctest.Wait() // the identity is known
			_, _ = call(c, t.Context(), "Meta", "")
			_, err := call(c, t.Context(), "Meta", "")
			wantError(t, err, protocol.ResourceExhausted, protocol.Refused, time.Second)
		}
		again := clientOf(t, network, "ann") // by another connection
		_, _ = call(again, t.Context(), "Meta", "")
		_, err = call(again, t.Context(), "Meta", "")
		wantError(t, err, protocol.ResourceExhausted, protocol.Refused, time.Second)
	})
}

// from is a listener whose connections come from an address.
type from struct {
	net.Listener
	addr net.Addr
}

func (l from) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return fromConn{c, l.addr}, nil
}

type fromConn struct {
	net.Conn
	addr net.Addr
}

func (c fromConn) RemoteAddr() net.Addr { return c.addr }

// Who has a network of IPv6 addresses is one client.
func TestRateLimitOfEachHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := transport.NewMemNetwork()
		limit := &wrapper.RateLimit{Clients: &ratelimit.PerKey{New: func(string) ratelimit.RateLimiter { return ratelimit.NewRateLimiter(1, 0) }}}
		s, err := server.NewSGServer(&server.Option{Wrappers: []server.Wrapper{limit}})
		if err != nil {
			t.Fatal(err)
		}
		serveWords(t, s)
		for i, test := range []struct {
			addr    string
			refused bool
		}{
			{"2001:db8::1", false}, {"2001:db8::2", true}, {"2001:db8:0:1::1", false},
			{"192.0.2.1", false}, {"192.0.2.2", false}, {"::ffff:192.0.2.2", true},
		} {
			ln, err := network.Listen(test.addr)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() {
				served <- s.ServeListener(from{ln, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(test.addr), uint16(i+1)))}, nil)
			}()
			defer func() { <-served }()
			c, err := client.NewRPCClient("mem", test.addr, &client.Option{Mem: network})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := call(c, t.Context(), "Meta", ""); test.refused != (protocol.CodeOf(err) == protocol.ResourceExhausted) {
				t.Errorf("%s: %v", test.addr, err)
			}
			_ = c.Close()
		}
		_ = s.Close()
	})
}

// limitedBy makes a server of Words with limit, and returns what a gateway beside it
// does for a tenant.
func limitedBy(t *testing.T, limit *wrapper.RateLimit) func(tenant string) error {
	t.Helper()
	limit.ClientKey = func(_ context.Context, h *protocol.Header) string { return h.MetaData["tenant"] }
	s, err := server.NewSGServer(&server.Option{Wrappers: []server.Wrapper{limit}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(Words{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return func(tenant string) error {
		m := &protocol.Message{Header: protocol.Header{ServiceName: "Words", MethodName: "Meta", SerializeType: protocol.SerializeTypeJSON}, Body: []byte(`{"Text":""}`)}
		m.MetaData = map[string]string{"tenant": tenant}
		_, err := s.Do(t.Context(), m)
		return err
	}
}

// A gateway beside the server has no address of a client: what tells its callers
// apart is for the user to say.
func TestRateLimitByAKeyOfOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := limitedBy(t, &wrapper.RateLimit{
			Clients: &ratelimit.PerKey{New: func(string) ratelimit.RateLimiter { return ratelimit.NewRateLimiter(1, 0) }},
		})
		if err := errors.Join(ask("red"), ask("blue")); err != nil {
			t.Error(err)
		}
		wantError(t, ask("red"), protocol.ResourceExhausted, protocol.Refused, time.Second)
	})
}

// remote is a limiter that asks another process, and notes where it is asked.
type remote struct {
	ratelimit.RateLimiter
	err   error
	asked []string
}

func (*remote) IsRemote() {}

func (r *remote) TryAcquire(ctx context.Context) error {
	where := "admission"
	if _, ok := protocol.MetaValue(ctx, "where"); ok {
		where = "handling"
	}
	r.asked = append(r.asked, where)
	return r.err
}

func TestARemoteLimiterIsNotAskedInAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := &remote{}
		for _, limit := range []*wrapper.RateLimit{
			{Limiter: far},
			{Methods: map[string]ratelimit.RateLimiter{"Words.Meta": far}},
			{Clients: &ratelimit.PerKey{New: func(string) ratelimit.RateLimiter { return far }}},
		} {
			far.err, far.asked = nil, nil
			c := pair(t, []server.Wrapper{limit}, nil)
			ctx := protocol.WithMeta(t.Context(), "where", "here")
			if _, err := call(c, ctx, "Meta", "where"); err != nil {
				t.Error(err)
			}
			far.err = &ratelimit.RefusedError{Reason: "enough", RetryAfter: time.Minute}
			_, err := call(c, ctx, "Meta", "where")
			wantError(t, err, protocol.ResourceExhausted, protocol.Refused, time.Minute)
			far.err = errors.New("a limiter of the user's")
			_, err = call(c, ctx, "Meta", "where")
			wantError(t, err, protocol.ResourceExhausted, protocol.Refused, 0)
			if !slices.Equal(far.asked, []string{"handling", "handling", "handling"}) {
				t.Errorf("asked in %q", far.asked)
			}
		}
	})
}

// The order of limits holds though a remote one takes time: whom it refuses takes
// nothing from the others.
func TestALimitBehindARemoteOneKeepsItsTokens(t *testing.T) {
	for name, narrow := range map[string]func(far ratelimit.RateLimiter) *wrapper.RateLimit{
		"of clients": func(far ratelimit.RateLimiter) *wrapper.RateLimit {
			return &wrapper.RateLimit{Clients: &ratelimit.PerKey{New: func(string) ratelimit.RateLimiter { return far }}}
		},
		"of a method": func(far ratelimit.RateLimiter) *wrapper.RateLimit {
			return &wrapper.RateLimit{Methods: map[string]ratelimit.RateLimiter{"Words.Meta": far}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := &remote{err: &ratelimit.RefusedError{Reason: "enough", RetryAfter: time.Minute}}
				limit := narrow(far)
				limit.Limiter = ratelimit.NewRateLimiter(1, 0)
				ask := limitedBy(t, limit)
				wantError(t, ask("red"), protocol.ResourceExhausted, protocol.Refused, time.Minute)
				far.err = nil
				if err := ask("blue"); err != nil {
					t.Errorf("after one whom the narrow limit refused: %v", err)
				}
				wantError(t, ask("blue"), protocol.ResourceExhausted, protocol.Refused, time.Second)
			})
		})
	}
}

// A limit before a remote one refuses by the header still.
func TestALimitBeforeARemoteOneIsAskedInAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := &remote{}
		ask := limitedBy(t, &wrapper.RateLimit{
			Clients: &ratelimit.PerKey{New: func(string) ratelimit.RateLimiter { return ratelimit.NewRateLimiter(1, 0) }},
			Limiter: far,
		})
		if err := ask("red"); err != nil {
			t.Error(err)
		}
		wantError(t, ask("red"), protocol.ResourceExhausted, protocol.Refused, time.Second)
		if len(far.asked) != 1 {
			t.Errorf("the remote limit was asked %d times, want once", len(far.asked))
		}
	})
}

func TestALimitThatRefusesNobodyAllocatesNothing(t *testing.T) {
	limit := &wrapper.RateLimit{Limiter: ratelimit.NewRateLimiter(0, 0)}
	ctx := context.Background()
	h := &protocol.Header{ServiceName: "Words", MethodName: "Meta"}
	next := limit.WrapCall(nil, func(context.Context, string, any, any) error { return nil })
	if allocs := testing.AllocsPerRun(100, func() {
		_ = limit.Admit(ctx, h, 0)
		_ = next(ctx, "Words.Meta", nil, nil)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
