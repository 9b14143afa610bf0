package redis

import (
	"cmp"
	"fmt"
	"math"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Defaults of Option.
const (
	DefaultTimeout    = 50 * time.Millisecond
	DefaultRetryEvery = time.Second
)

// Rates are bounded by what the script's clock can tell apart, and by how long
// Redis is to remember a key.
const (
	maxRate = 1e6
	minRate = 1e-6
)

// maxAhead bounds how many tokens are saved up or waited for.
const maxAhead = 1 << 20

// Option is how a Limiter behaves. Redis, Key and Rate are needed; in all other
// fields zero stands for the default. New copies it.
type Option struct {
	// Redis says where the server is: one, a cluster or one behind sentinels.
	// The limiter makes a client of its own with it, of which it sets
	// MaxRetries, DialerRetries and ContextTimeoutEnabled, so that Timeout
	// holds.
	Redis *goredis.UniversalOptions
	// Key is the name of the limit, under which Redis keeps it. Limiters with
	// the same key should have the same Rate, Burst and Queue.
	Key string
	// Rate is the tokens a second of all limiters with this key together, from
	// 1e-6 to 1e6.
	Rate float64
	// Burst is how many tokens are saved up at most, up to 1<<20. The default
	// is 1.
	Burst int
	// Queue is how many callers of the whole cluster may wait for a token, up
	// to 1<<20. The default is 0: nobody waits.
	Queue int
	// Instances is how many limiters with this key are expected to run. While
	// Redis is away each lets through Rate/Instances. The default is 1.
	Instances int
	// Timeout bounds one call of Redis, and is how long it must have had for a
	// failure to say that it is away. A caller with a deadline gives it half of
	// its time at most, and is decided for by this process when that was too
	// little. The default is 50 ms.
	Timeout time.Duration
	// RetryEvery is how long Redis is left alone after it failed. The limiter
	// then looks for itself; no caller waits for that. The default is 1 s.
	RetryEvery time.Duration
}

// prepare returns a copy of o with the defaults filled in.
func (o Option) prepare() (Option, error) {
	switch {
	case o.Redis == nil:
		return o, wrong("Redis is nil: say where the server is")
	case o.Key == "":
		return o, wrong("Key is empty: give the limit a name")
	case !(o.Rate >= minRate && o.Rate <= maxRate):
		return o, wrong("Rate is %v: it must be a number from %v to %v", o.Rate, minRate, maxRate)
	case o.Burst < 0 || o.Burst > maxAhead:
		return o, wrong("Burst is %d: it must be from 0 to %d", o.Burst, maxAhead)
	case o.Queue > maxAhead:
		return o, wrong("Queue is %d: it must be at most %d", o.Queue, maxAhead)
	case o.Instances < 0:
		return o, wrong("Instances is negative")
	case o.Timeout < 0:
		return o, wrong("Timeout is negative: calls of Redis are always bounded, 0 is %v", DefaultTimeout)
	case o.RetryEvery < 0:
		return o, wrong("RetryEvery is negative: 0 is %v", DefaultRetryEvery)
	}
	o.Burst = cmp.Or(o.Burst, 1)
	o.Queue = max(0, o.Queue)
	o.Instances = cmp.Or(o.Instances, 1)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.RetryEvery = cmp.Or(o.RetryEvery, DefaultRetryEvery)
	server := *o.Redis
	server.ContextTimeoutEnabled = true
	server.MaxRetries = -1
	server.DialerRetries = 1
	server.DialTimeout = cmp.Or(server.DialTimeout, time.Second)
	o.Redis = &server
	return o, nil
}

// share returns one instance's part of the rate and of the queue.
func (o Option) share() (rate float64, queue int) {
	n := o.Instances
	return o.Rate / float64(n), int(math.Ceil(float64(o.Queue) / float64(n)))
}

// wrong is an error about a field of Option, with which the format begins.
func wrong(format string, args ...any) error {
	return fmt.Errorf("ratelimit/redis: Option."+format, args...)
}
