package redis

import (
	"context"
	"fmt"
	"math"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sinew-rpc/sinew/ratelimit"
)

// Limiter is a RateLimiter whose rate is shared by the cluster. It asks Redis
// for each token, so it is a ratelimit.Remote. A caller that gives up while it
// waits has used its token up all the same. All methods may run concurrently. Now
// and then it has one goroutine, which looks whether Redis is there; Close waits
// for it.
type Limiter struct {
	option   Option
	client   goredis.UniversalClient
	interval float64       // microseconds
	longest  time.Duration // that a caller may wait
	local    ratelimit.RateLimiter
	standing standing

	ctx    context.Context // of looks: ended by Close
	cancel context.CancelFunc
}

var _ ratelimit.Remote = (*Limiter)(nil)

// New returns a limiter as o says. It does not wait for Redis: without it, the
// limiter begins with its local share. Close it when it is not needed any more.
func New(o Option) (*Limiter, error) {
	o, err := o.prepare()
	if err != nil {
		return nil, err
	}
	rate, queue := o.share()
	l := &Limiter{
		option:   o,
		client:   goredis.NewUniversalClient(o.Redis),
		interval: 1e6 / o.Rate,
		local:    ratelimit.NewRateLimiter(rate, queue),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.longest = micros(l.interval * float64(o.Queue))
	l.standing.name, l.standing.timeout, l.standing.retryEvery = o.Key, o.Timeout, o.RetryEvery
	return l, nil
}

// Close ends the connections to Redis. From then on the local share counts.
func (l *Limiter) Close() error {
	l.cancel()
	l.standing.close()
	if err := l.client.Close(); err != nil {
		return fmt.Errorf("ratelimit/redis: close: %w", err)
	}
	return nil
}

// State tells whether Redis decides now.
func (l *Limiter) State() State { return l.standing.now() }

// IsRemote implements ratelimit.Remote.
func (*Limiter) IsRemote() {}

// Acquire implements ratelimit.RateLimiter.
func (l *Limiter) Acquire(ctx context.Context) error {
	patience := l.longest
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline))
	}
	return l.acquire(ctx, patience, l.local.Acquire)
}

// TryAcquire implements ratelimit.RateLimiter.
func (l *Limiter) TryAcquire(ctx context.Context) error {
	return l.acquire(ctx, 0, l.local.TryAcquire)
}

// AcquireWithTimeout implements ratelimit.RateLimiter.
func (l *Limiter) AcquireWithTimeout(ctx context.Context, d time.Duration) error {
	patience := min(l.longest, d)
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline))
	}
	return l.acquire(ctx, patience, func(ctx context.Context) error { return l.local.AcquireWithTimeout(ctx, d) })
}

// acquire asks Redis, or local where Redis is away.
func (l *Limiter) acquire(ctx context.Context, patience time.Duration, local func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	away, look := l.standing.decider(time.Now())
	if look {
		go l.look()
	}
	if away {
		return local(ctx)
	}
	limit := l.limit(ctx)
	granted, after, err := l.ask(ctx, limit, max(0, patience))
	if err != nil {
		if l.standing.failed(err, limit, time.Now()) {
			go l.look()
		}
		return local(ctx)
	}
	l.standing.answered()
	if !granted {
		return &ratelimit.RefusedError{Reason: fmt.Sprintf("%.128q has no token for the cluster", l.option.Key), RetryAfter: after}
	}
	return pause(ctx, after)
}

// limit is how long Redis may take: a caller in a hurry keeps half of its time.
func (l *Limiter) limit(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(l.option.Timeout, time.Until(deadline)/2)
	}
	return l.option.Timeout
}

// ask asks for a token. The caller's own end is not Redis's fault, so what is
// asked is asked to the end.
func (l *Limiter) ask(ctx context.Context, limit, patience time.Duration) (granted bool, after time.Duration, err error) {
	return l.run(context.WithoutCancel(ctx), limit, l.interval, patience.Microseconds(), float64(l.longest.Microseconds()))
}

// look asks Redis as callers do, but with time of its own, and for a token that takes
// nothing: that of an interval of 0, however long it is to be waited for.
func (l *Limiter) look() {
	_, _, err := l.run(l.ctx, l.option.Timeout, 0, math.MaxInt64, float64(l.longest.Microseconds())+l.interval)
	l.standing.looked(err, time.Now())
}

// run runs the script.
func (l *Limiter) run(ctx context.Context, limit time.Duration, interval float64, patience int64, longest float64) (granted bool, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := gcra.Run(ctx, l.client, []string{l.option.Key},
		interval, float64(l.option.Burst-1)*l.interval, patience, longest).Int64Slice()
	if err != nil {
		return false, 0, err
	}
	if len(answer) != 2 {
		return false, 0, fmt.Errorf("the script answered %d numbers, not 2", len(answer))
	}
	return answer[0] == 1, micros(float64(answer[1])), nil
}

// pause waits, not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// micros is so many microseconds, cut to some 30 years.
func micros(n float64) time.Duration {
	return time.Duration(min(n*float64(time.Microsecond), 1e18))
}
