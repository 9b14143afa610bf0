package wrapper

import (
	"context"
	"errors"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/ratelimit"
	"github.com/sinew-rpc/sinew/server"
)

// RateLimit keeps calls to a rate. On a client a call waits for its turn, or is
// refused before anything is sent (NotSent). On a server a request that comes
// too early is refused by its header, before its body is read (Refused); from the
// first of its limiters on that is a ratelimit.Remote, after that and before its
// method. Both refusals are ResourceExhausted with RetryAfter.
//
// The limits are asked in the order of the fields' narrowness, Clients, Methods,
// Limiter: what one client or method may not do takes nothing from the others.
// A token of a narrow limit is spent when a wider one refuses.
type RateLimit struct {
	server.BaseWrapper

	// Limiter is for all calls together. Nil: they are not limited together.
	Limiter ratelimit.RateLimiter
	// Methods are for the calls of one method each, by "Service.Method".
	Methods map[string]ratelimit.RateLimiter
	// Clients are for the requests of one client each. They count on servers
	// alone. Nil: clients are not told apart.
	Clients *ratelimit.PerKey
	// ClientKey says whose a request is. It must not wait, and may be called
	// twice for a request, the second time with a copy of its header. The
	// default is ClientOf.
	ClientKey func(ctx context.Context, h *protocol.Header) string
	// Wait is how long a client's call may wait for each limit. The default is
	// as long as the call lasts; negative refuses at once.
	Wait time.Duration
}

var (
	_ client.Wrapper  = (*RateLimit)(nil)
	_ server.Wrapper  = (*RateLimit)(nil)
	_ server.Admitter = (*RateLimit)(nil)
)

// WrapCall implements client.Wrapper.
func (r *RateLimit) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		for _, l := range [...]ratelimit.RateLimiter{r.Methods[serviceMethod], r.Limiter} {
			if l == nil {
				continue
			}
			if err := r.wait(ctx, l); err != nil {
				return overRate(serviceMethod, err).WithOutcome(protocol.NotSent)
			}
		}
		return next(ctx, serviceMethod, req, resp)
	}
}

func (r *RateLimit) wait(ctx context.Context, l ratelimit.RateLimiter) error {
	switch {
	case r.Wait < 0:
		return l.TryAcquire(ctx)
	case r.Wait == 0:
		return l.Acquire(ctx)
	}
	return l.AcquireWithTimeout(ctx, r.Wait)
}

// Admit implements server.Admitter: it asks the limiters before the first that
// takes time.
func (r *RateLimit) Admit(ctx context.Context, h *protocol.Header, _ int) error {
	all := r.limiters(ctx, h)
	return try(ctx, h, all[:firstRemote(&all)])
}

// WrapHandleRequest implements server.Wrapper: it asks that one and those after it.
func (r *RateLimit) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	if !r.mayBeRemote() {
		return next
	}
	return func(ctx context.Context, req, res *protocol.Message) error {
		all := r.limiters(ctx, &req.Header)
		if err := try(ctx, &req.Header, all[firstRemote(&all):]); err != nil {
			return err
		}
		return next(ctx, req, res)
	}
}

// mayBeRemote reports whether Admit cannot ask every limiter. What Clients will
// make is not known.
func (r *RateLimit) mayBeRemote() bool {
	for _, l := range r.Methods {
		if isRemote(l) {
			return true
		}
	}
	return r.Clients != nil || isRemote(r.Limiter)
}

// try asks limiters of a request, in their order.
func try(ctx context.Context, h *protocol.Header, limiters []ratelimit.RateLimiter) error {
	for _, l := range limiters {
		if l == nil {
			continue
		}
		if err := l.TryAcquire(ctx); err != nil {
			return overRate(h.ServiceName+"."+h.MethodName, err)
		}
	}
	return nil
}

// limiters returns those of a request, the narrowest first.
func (r *RateLimit) limiters(ctx context.Context, h *protocol.Header) (all [3]ratelimit.RateLimiter) {
	if r.Clients != nil {
		key := ClientOf
		if r.ClientKey != nil {
			key = r.ClientKey
		}
		all[0] = r.Clients.For(key(ctx, h))
	}
	if len(r.Methods) > 0 {
		all[1] = r.Methods[h.ServiceName+"."+h.MethodName]
	}
	all[2] = r.Limiter
	return all
}

// firstRemote returns where the first remote limiter is. Those behind it wait for it,
// local ones too: what it refuses must take nothing from them.
func firstRemote(all *[3]ratelimit.RateLimiter) int {
	for i, l := range all {
		if isRemote(l) {
			return i
		}
	}
	return len(all)
}

func isRemote(l ratelimit.RateLimiter) bool {
	_, remote := l.(ratelimit.Remote)
	return remote
}

// ClientOf tells whose a request is: the first identity of its client that the
// server accepted (server.Option.Identify), or without one the ratelimit.HostKey of
// its address: an IPv6 client is its network of 64 bits. Where many clients share
// one, as in a cloud's subnet, Identify tells them apart. It is empty for a request
// that came from a gateway beside the server.
func ClientOf(ctx context.Context, _ *protocol.Header) string {
	peer := server.PeerFrom(ctx)
	if peer == nil {
		return ""
	}
	if identities := peer.Identity(); len(identities) > 0 {
		return identities[0]
	}
	return ratelimit.HostKey(peer.RemoteAddr().String())
}

// overRate is the error of a call that got no token.
func overRate(serviceMethod string, err error) *protocol.Error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return protocol.Errorf(protocol.CodeOf(err), "%.128s: while waiting for a token of the rate limit: %w", serviceMethod, err)
	}
	e := protocol.Errorf(protocol.ResourceExhausted, "%.128s: %w", serviceMethod, err)
	var refused *ratelimit.RefusedError
	if errors.As(err, &refused) {
		e.RetryAfter = refused.RetryAfter
	}
	return e
}
