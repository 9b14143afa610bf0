package middleware

import (
	"errors"
	"net/http"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
)

// RateLimit serves the requests that acquire lets pass; its error answers the
// others. A *protocol.Error is told as it is, with Retry-After where it has one;
// any other is 429 with its text. acquire may wait, with the request's context,
// and runs concurrently:
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
	return protocol.Errorf(protocol.ResourceExhausted, "%w", err).WithOutcome(protocol.NotSent)
}
