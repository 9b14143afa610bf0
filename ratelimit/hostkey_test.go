package ratelimit_test

import (
	"fmt"
	"testing"

	"github.com/sinew-rpc/sinew/ratelimit"
)

func TestHostKey(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:4711":              "192.0.2.1",
		"192.0.2.1":                   "192.0.2.1",
		"[::ffff:192.0.2.1]:4711":     "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:4711": "2001:db8:1:2::/64",
		"2001:db8:1:2::9":             "2001:db8:1:2::/64",
		"[2001:db8:1:3::9]:1":         "2001:db8:1:3::/64",
		"[2001:db8:1:2::9%eth0]:1":    "2001:db8:1:2::/64",
		"[::1]:4711":                  "::1",
		"[fe80::1%eth0]:4711":         "fe80::1%eth0",
		"[fd00::1]:4711":              "fd00::1",
		"words":                       "words",
		"/run/words.sock":             "/run/words.sock",
		"":                            "",
	} {
		if got := ratelimit.HostKey(addr); got != want {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
}

// Who has a network of IPv6 addresses takes one place, however many it calls from.
func TestANetworkOfAddressesIsOneClient(t *testing.T) {
	made := map[string]int{}
	limits := ratelimit.PerKey{New: func(key string) ratelimit.RateLimiter {
		made[key]++
		return ratelimit.NewRateLimiter(1, 0)
	}}
	for i := range 2 * ratelimit.DefaultMaxKeys {
		limits.For(ratelimit.HostKey(fmt.Sprintf("[2001:db8::%x]:1", i+1)))
	}
	limits.For(ratelimit.HostKey("[2001:db8:0:1::1]:1"))
	if len(made) != 2 || made["2001:db8::/64"] != 1 || made["2001:db8:0:1::/64"] != 1 {
		t.Errorf("%d limiters, want one for each network", len(made))
	}
}
