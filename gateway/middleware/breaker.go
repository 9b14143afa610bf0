package middleware

import (
	"cmp"
	"net/http"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/internal/breaker"
	"github.com/sinew-rpc/sinew/protocol"
)

// What zero stands for in a BreakerOption.
const (
	DefaultBreakerThreshold = 20
	DefaultBreakerWindow    = time.Second
)

// BreakerOption is when a breaker opens.
type BreakerOption struct {
	// Threshold is how many failures within Window open it. The default is 20;
	// negative is no breaker.
	Threshold int
	// Window is how long a failure counts, and how long the breaker stays open
	// before a request may try. The default is 1 s.
	Window time.Duration
}

// Breaker keeps requests away from a route that fails, with 503 and when to come
// back. It has one breaker for each handler that it is put round: in Group.Use
// one for each route of the group, in Gateway.Use one for all. A failure is an
// answer of 500 or above, but for 501, which speaks of the request, and a panic; a
// request whose caller left tells nothing.
func Breaker(o BreakerOption) gateway.Middleware {
	if o.Threshold < 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	settings := breaker.Settings{
		Threshold: cmp.Or(o.Threshold, DefaultBreakerThreshold),
		Window:    cmp.Or(max(0, o.Window), DefaultBreakerWindow),
	}
	return func(next http.Handler) http.Handler {
		b := breaker.New(settings)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pass, ok := b.Allow()
			if !ok {
				gateway.WriteError(w, open(b.RetryAt()))
				return
			}
			seen := &recorder{ResponseWriter: w}
			result := breaker.Failure // of a panic
			defer func() { b.Report(pass, result) }()
			next.ServeHTTP(seen, r)
			result = judge(r, seen.status)
		})
	}
}

func judge(r *http.Request, status int) breaker.Result {
	switch {
	case r.Context().Err() != nil:
		return breaker.Ignored
	case status >= http.StatusInternalServerError && status != http.StatusNotImplemented:
		return breaker.Failure
	}
	return breaker.Success
}

func open(retryAt time.Time) error {
	e := protocol.NewError(protocol.Unavailable, "this route has failed too often and is not tried for the moment")
	e.RetryAfter = max(time.Until(retryAt), time.Millisecond)
	return e.WithOutcome(protocol.NotSent)
}
