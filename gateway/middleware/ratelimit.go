package middleware

import (
	"errors"
	"net/http"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/ratelimit"
)

// RateLimit serves the requests that acquire lets pass; its error answers the
// others: 429, with Retry-After where a *ratelimit.RefusedError tells when to come
// back. A *protocol.Error is told as it is. acquire may wait, with the request's
// context, and runs concurrently:
//
//	limiter := ratelimit.NewRateLimiter(100, 0)
//	gw.Use(middleware.RateLimit(func(r *http.Request) error { return limiter.TryAcquire(r.Context()) }))
func RateLimit(acquire func(r *http.Request) error) gateway.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := acquire(r); err != nil {
				gateway.WriteError(w, limited(err))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func limited(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) && e != nil {
		return e.WithOutcome(protocol.NotSent)
	}
	limit := protocol.Errorf(protocol.ResourceExhausted, "%w", err)
	var refused *ratelimit.RefusedError
	if errors.As(err, &refused) {
		limit.RetryAfter = refused.RetryAfter
	}
	return limit.WithOutcome(protocol.NotSent)
}
