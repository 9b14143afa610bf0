package wrapper

import (
	"context"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
)

// TokenSource has each call bring a token of its own, in place of
// client.Option.Auth: for tokens that expire. The connection's first frame still
// brings Option.Auth, which only server.Option.Identify looks at. Messages that
// Do passes on are left alone: who passes on the calls of others must not lend
// them its own credentials.
type TokenSource struct {
	// Token returns what the next call brings. It runs on the caller's goroutine
	// within the call's time, concurrently, for each call: KeepToken makes one
	// that fetches a token no more often than it must. With an error the call
	// fails as Unauthenticated, NotSent. With none, TokenSource does nothing.
	Token func(ctx context.Context) (string, error)
}

var _ client.Wrapper = (*TokenSource)(nil)

// WrapCall implements client.Wrapper.
func (s *TokenSource) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	if s.Token == nil {
		return next
	}
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		if _, raw := req.(*protocol.Message); raw {
			return next(ctx, serviceMethod, req, resp)
		}
		token, err := s.Token(ctx)
		if err != nil {
			return noToken(ctx, err)
		}
		return next(client.With(ctx, client.Auth(token)), serviceMethod, req, resp)
	}
}

// noToken is the error of a call for which there is no token.
func noToken(ctx context.Context, err error) error {
	code := protocol.Unauthenticated
	if ctx.Err() != nil {
		code = protocol.CodeOf(ctx.Err())
	}
	return protocol.Errorf(code, "TokenSource has no token: %w", err).WithOutcome(protocol.NotSent)
}
