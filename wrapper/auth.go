package wrapper

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync/atomic"
	"time"
	"weak"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// What zero stands for in Auth.
const (
	DefaultVerdictTTL = time.Minute
	DefaultRefusalTTL = 5 * time.Second
	DefaultVerdicts   = 4096
)

// Auth serves only requests that bring a token which is accepted, as sinew-auth:
// what client.Option.Auth, client.Auth and TokenSource send. Others get
// Unauthenticated, and their method is not entered. The zero value accepts
// nothing.
//
// A request without a token, one whose token Verifier refuses, and one whose
// token was refused a moment ago are refused before their body is read. Where a
// check has to wait, on a database say, set Authenticate: the first request with
// a token on a connection is then checked on a worker, after its body was read
// and before its handler; what came of it is remembered, by connection and
// token, for those that follow. Requests with one token that come meanwhile wait
// for the same answer.
//
// Tokens are compared in constant time, kept as digests alone, and appear in no
// log and no error. Heartbeats need no token: the session answers them. Handlers
// learn who calls from PrincipalFrom.
//
// A client sends a token over whatever it is connected by: serve "tls", and set
// client.Option.RequireTLS.
type Auth struct {
	server.BaseWrapper

	// Verifier decides at admission. StaticTokens is one, wrapper/jwt has
	// another. It may be nil.
	Verifier Verifier
	// Authenticate decides about tokens that Verifier does not accept, on a
	// worker of the request, so it may wait; ctx is the request's. An error of
	// code Unauthenticated or PermissionDenied refuses the token, and so does a nil
	// Principal, or one that has expired. Any other error says
	// that it could not be checked: the call gets Unavailable, Elsewhere, nothing
	// is remembered, and the error is logged when such failures begin. It may run
	// concurrently. May be nil.
	Authenticate func(ctx context.Context, token string) (*Principal, error)
	// Allow decides whether an authenticated caller may make this call: an error
	// refuses it, with PermissionDenied unless it is a *protocol.Error. It is
	// asked for each request at admission, or on the worker where Authenticate
	// was asked, and may be asked twice; it must not wait. p and h are for
	// reading, h only until it returns. The default allows everything.
	Allow func(p *Principal, h *protocol.Header) error

	// VerdictTTL is how long an accepted token is not checked again, at most
	// until it expires. The default is 1 min; negative checks every time.
	VerdictTTL time.Duration
	// RefusalTTL is how long a refused token is not checked again. The default
	// is 5 s; negative checks every time.
	RefusalTTL time.Duration
	// Verdicts bounds the accepted tokens that are remembered, and the refused
	// ones. The default is 4096 of each; negative remembers none.
	Verdicts int

	accepted, refused verdicts
	inquiries         inquiries[verdictKey, *verdict]
	failing           atomic.Bool // Authenticate could not check the last token
}

var (
	_ server.Wrapper  = (*Auth)(nil)
	_ server.Admitter = (*Auth)(nil)
)

// Admit implements server.Admitter.
func (a *Auth) Admit(ctx context.Context, h *protocol.Header, _ int) error {
	token := h.MetaData[protocol.MetaAuth]
	if token == "" {
		return errNoToken
	}
	v := a.known(keyOf(ctx, token), token)
	if v == nil {
		return nil // Authenticate is asked on the worker
	}
	return a.judge(v, h)
}

var errNoToken = protocol.NewError(protocol.Unauthenticated, "the request brings no token: set client.Option.Auth")

// WrapHandleRequest implements server.Wrapper.
func (a *Auth) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		v, err := a.verdictOf(ctx, req.MetaData[protocol.MetaAuth])
		if err != nil {
			return err
		}
		if err := a.judge(v, &req.Header); err != nil {
			return err
		}
		return next(context.WithValue(ctx, principalKey{}, v.principal), req, res)
	}
}

// Identify is a server.IdentifyFunc: of the identities that a client claims it
// accepts the name that its token proves. Use it as server.Option.Identify.
func (a *Auth) Identify(ctx context.Context, h *protocol.Header, claimed []string) ([]string, error) {
	v, err := a.verdictOf(ctx, h.MetaData[protocol.MetaAuth])
	if err != nil {
		return nil, err
	}
	if v.refusal != nil {
		return nil, v.refusal
	}
	for _, name := range claimed {
		if name != "" && name == v.principal.Name {
			return []string{name}, nil
		}
	}
	return nil, nil
}

// keyOf returns the key of a token on the connection of ctx. What came by a
// gateway beside the server has none, and shares one.
func keyOf(ctx context.Context, token string) verdictKey {
	k := verdictKey{digest: sha256.Sum256([]byte(token))}
	if peer := server.PeerFrom(ctx); peer != nil {
		k.peer = weak.Make(peer)
	}
	return k
}

// judge says why a request with this verdict is refused.
func (a *Auth) judge(v *verdict, h *protocol.Header) error {
	if v.refusal != nil {
		return v.refusal
	}
	if a.Allow == nil {
		return nil
	}
	err := a.Allow(v.principal, h)
	if err == nil {
		return nil
	}
	denied := &protocol.Error{Code: protocol.PermissionDenied, Message: err.Error()}
	if e := (*protocol.Error)(nil); errors.As(err, &e) && e != nil {
		denied.Code, denied.Message = e.Code, e.Message
	}
	denied.Message = without(h.MetaData[protocol.MetaAuth], denied.Message)
	return denied
}

// verdictOf returns what is known of a token, or finds it out. The error is of a
// check that could not be made.
func (a *Auth) verdictOf(ctx context.Context, token string) (*verdict, error) {
	if token == "" {
		return &verdict{refusal: errNoToken}, nil
	}
	k := keyOf(ctx, token)
	if v := a.known(k, token); v != nil {
		return v, nil
	}
	v, err := a.inquiries.ask(ctx, k, func() (*verdict, error) {
		p, err := a.Authenticate(ctx, token)
		if err != nil && !isRefusal(err) {
			return nil, a.failed(ctx, token, err)
		}
		if a.failing.CompareAndSwap(true, false) {
			log.Infof("auth: tokens can be checked again")
		}
		return a.remember(k, token, p, err, a.version()), nil
	})
	if err != nil && ctx.Err() != nil {
		return nil, protocol.NewError(protocol.CodeOf(ctx.Err()), "the request ended while its token was checked")
	}
	return v, err
}

// known returns what is remembered of a token, or what Verifier makes of it; nil
// when Authenticate is to be asked.
func (a *Auth) known(k verdictKey, token string) *verdict {
	now, version := time.Now(), a.version()
	if v := a.accepted.get(k, now, version, a.bound()); v != nil {
		return v
	}
	if v := a.refused.get(k, now, version, a.bound()); v != nil {
		return v
	}
	if a.Verifier == nil {
		if a.Authenticate == nil {
			return &verdict{refusal: errNotAccepted}
		}
		return nil
	}
	p, err := a.Verifier.Verify(token)
	if err != nil && a.Authenticate != nil {
		return nil
	}
	return a.remember(k, token, p, err, version)
}

// bound is how many verdicts of each kind are kept.
func (a *Auth) bound() int { return cmp.Or(a.Verdicts, DefaultVerdicts) }

func (a *Auth) version() uint64 {
	if v, ok := a.Verifier.(Versioned); ok {
		return v.Version()
	}
	return 0
}

// remember makes a verdict of an answer, and keeps it. Nobody is nobody who may
// call, and a token that has expired counts for nothing.
func (a *Auth) remember(k verdictKey, token string, p *Principal, err error, version uint64) *verdict {
	if err == nil && (p == nil || !p.Expires.IsZero() && !time.Now().Before(p.Expires)) {
		err = errNotAccepted
	}
	v, kept, ttl := &verdict{principal: p, version: version}, &a.accepted, cmp.Or(a.VerdictTTL, DefaultVerdictTTL)
	if err != nil {
		v.principal, v.refusal = nil, refusalOf(token, err)
		kept, ttl = &a.refused, cmp.Or(a.RefusalTTL, DefaultRefusalTTL)
	}
	v.until = time.Now().Add(ttl)
	if err == nil && !p.Expires.IsZero() && p.Expires.Before(v.until) {
		v.until = p.Expires
	}
	if ttl > 0 && a.bound() > 0 {
		kept.put(k, v, a.bound())
	}
	return v
}

// isRefusal tells a token that is not accepted from one that could not be
// checked.
func isRefusal(err error) bool {
	code := protocol.CodeOf(err)
	return code == protocol.Unauthenticated || code == protocol.PermissionDenied
}

// refusalOf is what a caller is told of a token that is not accepted: the words
// of a *protocol.Error, which were meant for it, and of no other error.
func refusalOf(token string, err error) *protocol.Error {
	e := (*protocol.Error)(nil)
	if !errors.As(err, &e) || e == nil || !isRefusal(e) {
		return errNotAccepted
	}
	return &protocol.Error{Code: e.Code, Message: without(token, e.Message)}
}

// failed is what a caller is told when its token could not be checked. Why is
// for the log, once until a check succeeds again; where the request itself ended
// there is nothing to log.
func (a *Auth) failed(ctx context.Context, token string, err error) error {
	if ctx.Err() == nil && a.failing.CompareAndSwap(false, true) {
		log.Warningf("auth: tokens cannot be checked, requests are refused: %s", without(token, err.Error()))
	}
	return &protocol.Error{Code: protocol.Unavailable, Message: "the token cannot be checked now", Elsewhere: true}
}

// without returns text without the token.
func without(token, text string) string {
	if token == "" {
		return text
	}
	return strings.ReplaceAll(text, token, "(token)")
}
