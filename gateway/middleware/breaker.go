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
// answer of 500 or above, but for 501, which speaks of the request, and a panic. A
// request whose caller left tells nothing; neither does a 504 within 50 ms, or to a
// caller whose own Timeout or Connect-Timeout-Ms is shorter than that.
//
// A method's plain error, of code Unknown, is a 500, and so counts: give those that
// speak of the request a code.
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
			begun, result := time.Now(), breaker.Failure // of a panic
			defer func() {
				if r.Context().Err() != nil { // also where the handler panics because of that
					result = breaker.Ignored
				}
				b.Report(pass, result)
			}()
			next.ServeHTTP(seen, r)
			result = judge(r, seen.status, begun)
		})
	}
}

// leastPatience is how long a request must have been given for its deadline to say
// something about the route rather than about the caller.
const leastPatience = 50 * time.Millisecond

func judge(r *http.Request, status int, begun time.Time) breaker.Result {
	switch {
	case status == http.StatusGatewayTimeout && (time.Since(begun) < leastPatience || isImpatient(r.Header)):
		return breaker.Ignored
	case status >= http.StatusInternalServerError && status != http.StatusNotImplemented:
		return breaker.Failure
	}
	return breaker.Success
}

// isImpatient tells a caller that waits less than leastPatience. A gateway answers
// it later than that, where the backend does not end a call when its time is up.
func isImpatient(h http.Header) bool {
	for _, name := range []string{"Timeout", "Connect-Timeout-Ms"} {
		text := h.Get(name)
		wait, err := time.ParseDuration(text)
		if err != nil {
			wait, err = time.ParseDuration(text + "ms")
		}
		if err == nil && wait < leastPatience {
			return true
		}
	}
	return false
}

func open(retryAt time.Time) error {
	e := protocol.NewError(protocol.Unavailable, "this route has failed too often and is not tried for the moment")
	e.RetryAfter = max(time.Until(retryAt), time.Millisecond)
	return e.WithOutcome(protocol.NotSent)
}
