package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

const (
	headerConnectTimeout = "Connect-Timeout-Ms"
	headerTimeout        = "Timeout"

	// maxConnectTimeoutDigits is what the Connect protocol allows: some 115 days.
	maxConnectTimeoutDigits = 10
)

// timeoutOf returns how long the caller waits, 0 where it does not say:
// Connect-Timeout-Ms is milliseconds, Timeout a duration such as "250ms", "1.5s"
// or a plain number of milliseconds. The earlier of both counts.
func timeoutOf(h http.Header) (time.Duration, error) {
	var shortest time.Duration
	if v := first(h, headerConnectTimeout); v != "" {
		d, ok := parseMillis(v)
		if !ok {
			return 0, notSent(protocol.InvalidArgument, "%s is %.32q: it takes 1 to %d digits, milliseconds", headerConnectTimeout, v, maxConnectTimeoutDigits)
		}
		shortest = d
	}
	if v := first(h, headerTimeout); v != "" {
		d, ok := parseMillis(v)
		if !ok {
			var err error
			if d, err = time.ParseDuration(v); err != nil || d < 0 {
				return 0, notSent(protocol.InvalidArgument, "%s is %.32q: it takes a duration such as 250ms or 1.5s, or milliseconds", headerTimeout, v)
			}
			d = max(d, 1)
		}
		if shortest == 0 || d < shortest {
			shortest = d
		}
	}
	return shortest, nil
}

// parseMillis takes digits alone. A caller that waits 0 ms waits as little as
// can be: 0 in a header means that it waits for ever.
func parseMillis(s string) (time.Duration, bool) {
	if len(s) > maxConnectTimeoutDigits {
		return 0, false
	}
	ms, err := strconv.ParseUint(s, 10, 64)
	return max(1, time.Duration(ms)*time.Millisecond), err == nil
}
