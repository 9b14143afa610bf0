package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/wrapper"
)

const secret = "open-sesame-40-thieves"

// Who answers with the name of its caller.
func (Words) Who(ctx context.Context, _, res *Word) error {
	if p := wrapper.PrincipalFrom(ctx); p != nil {
		res.Text = p.Name
	}
	return nil
}

func wantRefused(t *testing.T, err error, code protocol.Code) {
	t.Helper()
	if protocol.CodeOf(err) != code || protocol.OutcomeOf(err) != protocol.Refused {
		t.Errorf("got %v (%v), want %v, Refused", err, protocol.OutcomeOf(err), code)
	}
}

func TestStaticTokens(t *testing.T) {
	auth := &wrapper.Auth{Verifier: wrapper.StaticTokens(map[string]string{"other": "ops", secret: "billing", "": "nobody"})}
	s, network := serve(t, server.Option{Wrappers: []server.Wrapper{auth}})
	for name, test := range map[string]struct {
		token, who string
		code       protocol.Code
	}{
		"none":        {"", "", protocol.Unauthenticated},
		"wrong":       {"open-sesame-41-thieves", "", protocol.Unauthenticated},
		"a beginning": {secret[:5], "", protocol.Unauthenticated},
		"more":        {secret + "!", "", protocol.Unauthenticated},
		"right":       {secret, "billing", protocol.OK},
		"the other":   {"other", "ops", protocol.OK},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, network, client.Option{Auth: test.token})
			for range 2 { // the second verdict is remembered
				who, err := call(c, t.Context(), "Who", "")
				if test.code != protocol.OK {
					wantRefused(t, err, test.code)
				} else if err != nil || who != test.who {
					t.Errorf("served for %q, %v", who, err)
				}
			}
		})
	}
	if n := s.Stats().Refused.Admission; n != 8 {
		t.Errorf("%d were refused before their body was read, want all 8", n)
	}
}

func TestAuthWithoutAnythingAcceptsNothing(t *testing.T) {
	_, network := serve(t, server.Option{Wrappers: []server.Wrapper{&wrapper.Auth{}}})
	_, err := call(dial(t, network, client.Option{Auth: secret}), t.Context(), "Who", "")
	wantRefused(t, err, protocol.Unauthenticated)
}

// desk is a user's Authenticate that takes its time and counts.
type desk struct {
	asked atomic.Int64
	takes time.Duration
	err   atomic.Pointer[error] // what it says of every token but the secret; nil: Unauthenticated
	until time.Duration
}

func (d *desk) authenticate(ctx context.Context, token string) (*wrapper.Principal, error) {
	d.asked.Add(1)
	select {
	case <-time.After(d.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := d.err.Load(); err != nil {
		return nil, *err
	}
	if token != secret {
		return nil, protocol.Errorf(protocol.Unauthenticated, "%s is not on the list", token)
	}
	p := &wrapper.Principal{Name: "billing"}
	if d.until > 0 {
		p.Expires = time.Now().Add(d.until)
	}
	return p, nil
}

func (d *desk) want(t *testing.T, n int64) {
	t.Helper()
	if got := d.asked.Load(); got != n {
		t.Errorf("asked %d times, want %d", got, n)
	}
}

// A check that waits is made once for each connection and token, on a worker;
// what follows is decided at admission.
func TestAuthenticateIsAskedOnceForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{takes: 5 * time.Millisecond}
		s, network := serve(t, server.Option{Wrappers: []server.Wrapper{&wrapper.Auth{Authenticate: d.authenticate}}})
		c := dial(t, network, client.Option{Auth: secret})
		begun := time.Now()
		for range 3 {
			if who, err := call(c, t.Context(), "Who", ""); err != nil || who != "billing" {
				t.Errorf("served for %q, %v", who, err)
			}
		}
		if took := time.Since(begun); took != d.takes {
			t.Errorf("three calls took %v, and one check takes %v", took, d.takes)
		}
		d.want(t, 1)
		if _, err := call(dial(t, network, client.Option{Auth: secret}), t.Context(), "Who", ""); err != nil {
			t.Error(err)
		}
		d.want(t, 2) // another connection

		wrong := dial(t, network, client.Option{Auth: "wrong"})
		for range 3 {
			_, err := call(wrong, t.Context(), "Who", "")
			wantRefused(t, err, protocol.Unauthenticated)
			if strings.Contains(err.Error(), "wrong") || !strings.Contains(err.Error(), "(token) is not on the list") {
				t.Errorf("the caller is told %v", err)
			}
		}
		d.want(t, 3)
		if n := s.Stats().Refused.Admission; n != 2 {
			t.Errorf("%d of three were refused at admission, want those after the first", n)
		}
	})
}

func TestVerdictsLast(t *testing.T) {
	for name, test := range map[string]struct {
		auth  *wrapper.Auth
		token string
		until time.Duration // what the token says
		lasts time.Duration
	}{
		"accepted, by default":      {&wrapper.Auth{}, secret, 0, time.Minute},
		"accepted, by option":       {&wrapper.Auth{VerdictTTL: time.Hour}, secret, 0, time.Hour},
		"accepted until it expires": {&wrapper.Auth{}, secret, 20 * time.Second, 20 * time.Second},
		"accepted, never":           {&wrapper.Auth{VerdictTTL: -1}, secret, 0, 0},
		"none are kept":             {&wrapper.Auth{Verdicts: -1}, secret, 0, 0},
		"refused, by default":       {&wrapper.Auth{}, "wrong", 0, 5 * time.Second},
		"refused, by option":        {&wrapper.Auth{RefusalTTL: time.Second}, "wrong", 0, time.Second},
		"refused, never":            {&wrapper.Auth{RefusalTTL: -1}, "wrong", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &desk{until: test.until}
				test.auth.Authenticate = d.authenticate
				_, network := serve(t, server.Option{Wrappers: []server.Wrapper{test.auth}})
				c := dial(t, network, client.Option{Auth: test.token})
				_, _ = call(c, t.Context(), "Who", "")
				d.want(t, 1)
				if test.lasts > 0 {
					time.Sleep(test.lasts - 1)
					_, _ = call(c, t.Context(), "Who", "")
					d.want(t, 1)
					time.Sleep(time.Nanosecond)
				}
				_, _ = call(c, t.Context(), "Who", "")
				d.want(t, 2)
			})
		})
	}
}

// A check that cannot be made refuses nobody for good, and says so once.
func TestAuthenticateThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := collect(t, slog.LevelDebug-2)
		d := &desk{}
		broken := fmt.Errorf("the directory does not answer about %s", secret)
		d.err.Store(&broken)
		_, network := serve(t, server.Option{Wrappers: []server.Wrapper{&wrapper.Auth{Authenticate: d.authenticate}}})
		c := dial(t, network, client.Option{Auth: secret})
		for range 3 {
			_, err := call(c, t.Context(), "Who", "")
			wantRefused(t, err, protocol.Unavailable)
			var e *protocol.Error
			if !errors.As(err, &e) || !e.Elsewhere || strings.Contains(e.Message, "directory") {
				t.Errorf("the caller is told %v", err)
			}
		}
		d.want(t, 3)
		d.err.Store(nil)
		if _, err := call(c, t.Context(), "Who", ""); err != nil {
			t.Error(err)
		}
		for text, times := range map[string]int{"does not answer about (token)": 1, "can be checked again": 1, secret: 0} {
			if n := strings.Count(out.String(), text); n != times {
				t.Errorf("%q is logged %d times, want %d:\n%s", text, n, times, out)
			}
		}
	})
}

// Many requests with one new token wait for one check, also when the request
// that makes it is given up.
func TestAuthenticateIsAskedOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{takes: 10 * time.Millisecond}
		_, network := serve(t, server.Option{Wrappers: []server.Wrapper{&wrapper.Auth{Authenticate: d.authenticate}}})
		c := dial(t, network, client.Option{Auth: secret})
		impatient, cancel := context.WithTimeout(t.Context(), 4*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := call(c, impatient, "Who", ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the impatient one got %v", err)
			}
		})
		time.Sleep(time.Millisecond)
		for range 50 {
			wg.Go(func() {
				if who, err := call(c, t.Context(), "Who", ""); err != nil || who != "billing" {
					t.Errorf("served for %q, %v", who, err)
				}
			})
		}
		wg.Wait()
		d.want(t, 2) // the impatient one's, and one more
	})
}

func TestAuthenticateThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := collect(t, slog.LevelInfo) // keeps the stack out of the test's output
		var asked atomic.Int64
		auth := &wrapper.Auth{Authenticate: func(context.Context, string) (*wrapper.Principal, error) {
			if asked.Add(1) == 1 {
				panic("the directory is on fire")
			}
			return &wrapper.Principal{Name: "billing"}, nil
		}}
		_, network := serve(t, server.Option{Wrappers: []server.Wrapper{auth}})
		c := dial(t, network, client.Option{Auth: secret})
		_, err := call(c, t.Context(), "Who", "")
		wantRefused(t, err, protocol.Internal)
		if _, err := call(c, t.Context(), "Who", ""); err != nil {
			t.Errorf("after the panic: %v", err)
		}
		if strings.Contains(out.String(), secret) {
			t.Error("the token is in the log")
		}
	})
}

// An Authenticate that finds nobody and forgets to say so by an error accepts
// nobody, and what it says of a token of yesterday does not count.
func TestAuthenticateThatFindsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, found := range map[string]*wrapper.Principal{
			"nobody":  nil,
			"expired": {Name: "billing", Expires: time.Now()},
		} {
			auth := &wrapper.Auth{Authenticate: func(context.Context, string) (*wrapper.Principal, error) { return found, nil }}
			_, network := serve(t, server.Option{Wrappers: []server.Wrapper{auth}})
			c := dial(t, network, client.Option{Auth: secret})
			for range 2 { // the second is answered from memory
				if who, err := call(c, t.Context(), "Who", ""); protocol.CodeOf(err) != protocol.Unauthenticated || protocol.OutcomeOf(err) != protocol.Refused {
					t.Errorf("%s: served for %q, %v", name, who, err)
				}
			}
		}
	})
}

// What Verifier accepts needs no Authenticate, and what it does not goes there.
func TestVerifierThenAuthenticate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		auth := &wrapper.Auth{Verifier: wrapper.StaticTokens(map[string]string{"ops": "ops"}), Authenticate: d.authenticate}
		_, network := serve(t, server.Option{Wrappers: []server.Wrapper{auth}})
		for token, want := range map[string]string{"ops": "ops", secret: "billing"} {
			if who, err := call(dial(t, network, client.Option{Auth: token}), t.Context(), "Who", ""); err != nil || who != want {
				t.Errorf("served for %q, %v; want %q", who, err, want)
			}
		}
		d.want(t, 1)
	})
}

func TestAllowDecidesAboutCalls(t *testing.T) {
	auth := &wrapper.Auth{
		Verifier: wrapper.StaticTokens(map[string]string{secret: "billing"}),
		Allow: func(p *wrapper.Principal, h *protocol.Header) error {
			switch h.MethodName {
			case "Meta":
				return fmt.Errorf("%s may not, with %s", p.Name, h.MetaData[protocol.MetaAuth])
			case "Fail":
				return protocol.NewError(protocol.FailedPrecondition, "on Sundays")
			}
			return nil
		},
	}
	_, network := serve(t, server.Option{Wrappers: []server.Wrapper{auth}})
	c := dial(t, network, client.Option{Auth: secret})
	if _, err := call(c, t.Context(), "Who", ""); err != nil {
		t.Error(err)
	}
	_, err := call(c, t.Context(), "Meta", "")
	wantRefused(t, err, protocol.PermissionDenied)
	if err == nil || !strings.Contains(err.Error(), "billing may not, with (token)") {
		t.Errorf("the caller is told %v", err)
	}
	_, err = call(c, t.Context(), "Fail", "")
	wantRefused(t, err, protocol.FailedPrecondition)
}

// changing is a Verifier that has changed its mind.
type changing struct {
	version atomic.Uint64
	asked   atomic.Int64
}

func (c *changing) Verify(string) (*wrapper.Principal, error) {
	c.asked.Add(1)
	if c.version.Load() > 0 {
		return nil, errors.New("no longer")
	}
	return &wrapper.Principal{}, nil
}

func (c *changing) Version() uint64 { return c.version.Load() }

func TestVerdictsOfAnOldVersionCountNoMore(t *testing.T) {
	v := &changing{}
	_, network := serve(t, server.Option{Wrappers: []server.Wrapper{&wrapper.Auth{Verifier: v}}})
	c := dial(t, network, client.Option{Auth: secret})
	for range 3 {
		if _, err := call(c, t.Context(), "Who", ""); err != nil {
			t.Error(err)
		}
	}
	if n := v.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	v.version.Store(1)
	_, err := call(c, t.Context(), "Who", "")
	wantRefused(t, err, protocol.Unauthenticated)
	if err != nil && strings.Contains(err.Error(), "no longer") {
		t.Errorf("a plain error's text reached the caller: %v", err)
	}
}

// A gateway beside the server calls without a connection.
func TestAuthOfAGatewayBesideTheServer(t *testing.T) {
	s, _ := serve(t, server.Option{Wrappers: []server.Wrapper{&wrapper.Auth{Verifier: wrapper.StaticTokens(map[string]string{secret: "billing"})}}})
	body, err := protocol.Marshal(protocol.SerializeTypeMsgpack, nil, &Word{})
	if err != nil {
		t.Fatal(err)
	}
	m := &protocol.Message{Header: protocol.Header{ServiceName: "Words", MethodName: "Who"}, Body: body}
	_, err = s.Do(t.Context(), m)
	wantRefused(t, err, protocol.Unauthenticated)
	m.MetaData = map[string]string{protocol.MetaAuth: secret}
	if _, err := s.Do(t.Context(), m); err != nil {
		t.Error(err)
	}
}

func TestIdentifyAcceptsTheNameThatATokenProves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := &wrapper.Auth{Verifier: wrapper.StaticTokens(map[string]string{secret: "billing"})}
		s, network := serve(t, server.Option{Identify: auth.Identify, Wrappers: []server.Wrapper{auth}})
		honest := dial(t, network, client.Option{Auth: secret, Identities: []string{"admin", "billing"}})
		if _, err := call(honest, t.Context(), "Who", ""); err != nil {
			t.Fatal(err)
		}
		liar := dial(t, network, client.Option{Auth: "wrong", Identities: []string{"billing"}})
		_, _ = call(liar, t.Context(), "Who", "")
		synctest.Wait()
		if n := len(s.Peers("billing")); n != 1 {
			t.Errorf("%d peers are known as billing", n)
		}
		if n := len(s.Peers("admin")); n != 0 {
			t.Errorf("%d peers are known as admin, which no token proves", n)
		}
	})
}

// A token is nowhere but in the request.
func TestTokensAreNotLogged(t *testing.T) {
	out := collect(t, slog.LevelDebug-3)
	_, network := serve(t, server.Option{Wrappers: []server.Wrapper{&wrapper.Log{}, &wrapper.Auth{Verifier: wrapper.StaticTokens(nil)}}})
	c := dial(t, network, client.Option{Auth: secret, Wrappers: []client.Wrapper{&wrapper.Log{}}})
	_, err := call(c, t.Context(), "Who", "")
	wantRefused(t, err, protocol.Unauthenticated)
	if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(out.String(), secret) {
		t.Errorf("the token is in %v or in\n%s", err, out)
	}
}

func TestTokenSource(t *testing.T) {
	var made int
	source := &wrapper.TokenSource{Token: func(context.Context) (string, error) {
		made++
		if made > 2 {
			return "", errors.New("the mint is closed")
		}
		return fmt.Sprint("token-", made), nil
	}}
	c := pair(t, nil, []client.Wrapper{source})
	for _, want := range []string{"token-1", "token-2"} {
		if got, err := call(c, t.Context(), "Meta", protocol.MetaAuth); err != nil || got != want {
			t.Errorf("%q travelled, %v; want %q", got, err, want)
		}
	}
	_, err := call(c, t.Context(), "Meta", protocol.MetaAuth)
	if protocol.CodeOf(err) != protocol.Unauthenticated || protocol.OutcomeOf(err) != protocol.NotSent || !strings.Contains(err.Error(), "the mint is closed") {
		t.Errorf("without a token: %v (%v)", err, protocol.OutcomeOf(err))
	}
}

// Who passes on messages does not lend them its token.
func TestTokenSourceLeavesMessagesAlone(t *testing.T) {
	source := &wrapper.TokenSource{Token: func(context.Context) (string, error) { return secret, nil }}
	carried := "nothing was called"
	next := source.WrapCall(nil, func(ctx context.Context, _ string, _, _ any) error {
		carried = fmt.Sprint(ctx == t.Context())
		return nil
	})
	if err := next(t.Context(), "Words.Meta", &protocol.Message{}, &protocol.Message{}); err != nil || carried != "true" {
		t.Errorf("the context is the caller's: %s, %v", carried, err)
	}
}

// contexts gives away what Admit is asked with.
type contexts struct {
	server.BaseWrapper
	to chan context.Context
}

func (c contexts) Admit(ctx context.Context, _ *protocol.Header, _ int) error {
	c.to <- ctx
	return nil
}

func TestAuthThatIsRememberedCostsLittle(t *testing.T) {
	given := contexts{to: make(chan context.Context, 1)}
	_, network := serve(t, server.Option{Wrappers: []server.Wrapper{given}})
	if _, err := call(dial(t, network, client.Option{}), t.Context(), "Who", ""); err != nil {
		t.Fatal(err)
	}
	auth := &wrapper.Auth{Verifier: wrapper.StaticTokens(map[string]string{secret: "billing"})}
	h := &protocol.Header{MetaData: map[string]string{protocol.MetaAuth: secret}}
	ctx := <-given.to // of a connection
	if allocs := testing.AllocsPerRun(100, func() {
		if err := auth.Admit(ctx, h, 0); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations for an admission", allocs)
	}
	next := auth.WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error { return nil })
	req, res := &protocol.Message{Header: *h}, &protocol.Message{}
	if allocs := testing.AllocsPerRun(100, func() { _ = next(ctx, req, res) }); allocs > 1 {
		t.Errorf("%v allocations for a request, more than its context", allocs)
	}
}

func BenchmarkAdmit(b *testing.B) {
	auth := &wrapper.Auth{Verifier: wrapper.StaticTokens(map[string]string{secret: "billing"})}
	h := &protocol.Header{MetaData: map[string]string{protocol.MetaAuth: secret}}
	ctx := context.Background()
	for b.Loop() {
		_ = auth.Admit(ctx, h, 0)
	}
}
