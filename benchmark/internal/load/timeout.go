package load

import (
	"context"
	"fmt"
	"time"
)

// Timeout is how the calls of a run are bounded in time.
type Timeout string

const (
	// TimeoutNone bounds nothing.
	TimeoutNone Timeout = "none"
	// TimeoutRequest uses the framework's own option.
	TimeoutRequest Timeout = "request"
	// TimeoutContext gives each call a context of its own with a timeout.
	TimeoutContext Timeout = "context"
	// TimeoutIgnored makes the same context, and calls without it: what the
	// context itself costs.
	TimeoutIgnored Timeout = "ignored"
)

// CallTimeout is the bound in every mode but [TimeoutNone]. It is long enough
// never to fire: what is measured is its cost, not its effect.
const CallTimeout = 10 * time.Second

// ParseTimeout reads a mode by name.
func ParseTimeout(s string) (Timeout, error) {
	switch t := Timeout(s); t {
	case TimeoutNone, TimeoutRequest, TimeoutContext, TimeoutIgnored:
		return t, nil
	}
	return "", fmt.Errorf("load: timeout %q is not none, request, context or ignored", s)
}

// requestTimeout is what the framework's own option is set to.
func (t Timeout) requestTimeout() time.Duration {
	if t == TimeoutRequest {
		return CallTimeout
	}
	return 0
}

// wrap returns call with the contexts that the mode makes for each call.
func (t Timeout) wrap(call Call) Call {
	switch t {
	case TimeoutContext:
		return func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
			bounded, cancel := context.WithTimeout(ctx, CallTimeout)
			defer cancel()
			return call(bounded, id, body)
		}
	case TimeoutIgnored:
		return func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
			_, cancel := context.WithTimeout(ctx, CallTimeout)
			defer cancel()
			return call(ctx, id, body)
		}
	}
	return call
}
