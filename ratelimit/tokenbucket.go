package ratelimit

import (
	"container/list"
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// NewRateLimiter returns a limiter with a token each 1/perSecond seconds, of
// which one at most is saved up. At most queue callers wait for theirs, in the
// order in which they came; the next is refused at once. With a queue of 0 or
// less nobody waits. A rate of 0 or less, or one that is no finite number,
// limits nothing: a setting that is missing must not stop every call.
//
// It starts no goroutine. A caller that gives up while it waits leaves its turn
// to those behind it, so no token is lost.
func NewRateLimiter(perSecond float64, queue int) RateLimiter {
	if !(perSecond > 0) || math.IsInf(perSecond, 1) {
		return unlimited{}
	}
	b := &tokenBucket{
		limiter:  rate.NewLimiter(rate.Limit(perSecond), 1),
		interval: min(float64(time.Second)/perSecond, longest),
		queue:    max(0, queue),
	}
	return b
}

// tokenBucket is a bucket of one token and a queue before it. The token that the
// first in the queue waits for is reserved; the others come after it, one each
// interval.
type tokenBucket struct {
	interval float64 // nanoseconds from one token to the next
	queue    int     // how many may wait

	mu sync.Mutex
	// Guarded by mu:
	limiter *rate.Limiter
	waiting list.List         // of chan struct{}, closed when the token is there
	next    *rate.Reservation // of the first in waiting
	due     time.Time         // when that is due
	timer   *time.Timer       // runs handOut at due; nil until somebody waited
}

// Acquire implements RateLimiter.
func (b *tokenBucket) Acquire(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	return b.acquire(ctx, deadline)
}

// AcquireWithTimeout implements RateLimiter.
func (b *tokenBucket) AcquireWithTimeout(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return b.TryAcquire(ctx)
	}
	deadline := time.Now().Add(d)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	return b.acquire(ctx, deadline)
}

// TryAcquire implements RateLimiter.
func (b *tokenBucket) TryAcquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.takeLocked(now) {
		return nil
	}
	return refused("no token is there", b.dueLocked(now, b.waiting.Len()).Sub(now))
}

// acquire waits at most until deadline, without end for a zero one.
func (b *tokenBucket) acquire(ctx context.Context, deadline time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	place, err := b.enter(deadline)
	if place == nil {
		return err
	}
	select {
	case <-place.Value.(chan struct{}):
		return nil
	case <-ctx.Done():
		if b.leave(place) {
			return ctx.Err()
		}
		return nil // the token came at the same time
	}
}

// enter takes a token, or else a place in the queue, or neither with an error.
func (b *tokenBucket) enter(deadline time.Time) (place *list.Element, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.takeLocked(now) {
		return nil, nil
	}
	due := b.dueLocked(now, b.waiting.Len())
	switch {
	case b.waiting.Len() >= b.queue:
		return nil, refused("too many wait", b.dueLocked(now, 0).Sub(now))
	case !deadline.IsZero() && !due.Before(deadline):
		return nil, refused("the token would come too late", due.Sub(deadline))
	}
	place = b.waiting.PushBack(make(chan struct{}))
	if b.waiting.Len() == 1 {
		b.reserveLocked(now)
		b.armLocked(now)
	}
	return place, nil
}

// leave gives up a place in the queue, false when its token was there already.
func (b *tokenBucket) leave(place *list.Element) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-place.Value.(chan struct{}):
		return false
	default:
	}
	b.waiting.Remove(place)
	if b.waiting.Len() == 0 {
		b.timer.Stop()
		back := time.Now()
		if b.due.Before(back) { // the timer is late, and what is overdue is not taken back
			back = b.due
		}
		b.next.CancelAt(back)
		b.next = nil
	}
	return true
}

// handOut gives the first in the queue their tokens. A timer may be late by the
// time of many tokens, and each counts from when the one before was due.
func (b *tokenBucket) handOut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for b.waiting.Len() > 0 && !b.due.After(now) {
		close(b.waiting.Remove(b.waiting.Front()).(chan struct{}))
		b.next = nil
		if b.waiting.Len() > 0 {
			b.reserveLocked(b.due)
		}
	}
	if b.waiting.Len() > 0 {
		b.armLocked(now)
	}
}

// takeLocked takes a token that is there and that nobody waits for.
func (b *tokenBucket) takeLocked(now time.Time) bool {
	return b.waiting.Len() == 0 && b.limiter.AllowN(now, 1)
}

// dueLocked returns when the token is due for which n others come first.
func (b *tokenBucket) dueLocked(now time.Time, n int) time.Time {
	first := b.due
	if b.waiting.Len() == 0 {
		first = now.Add(b.span(1 - b.limiter.TokensAt(now)))
	}
	return first.Add(b.span(float64(n)))
}

// longest is how far ahead tokens are foreseen, in nanoseconds: some 30 years.
const longest = 1e18

// span returns the time in which n tokens come.
func (b *tokenBucket) span(n float64) time.Duration {
	return time.Duration(min(math.Ceil(n*b.interval), longest))
}

// reserveLocked takes the token after those of time from.
func (b *tokenBucket) reserveLocked(from time.Time) {
	b.next = b.limiter.ReserveN(from, 1)
	b.due = from.Add(b.next.DelayFrom(from))
}

func (b *tokenBucket) armLocked(now time.Time) {
	if b.timer == nil {
		b.timer = time.AfterFunc(b.due.Sub(now), b.handOut)
		return
	}
	b.timer.Reset(b.due.Sub(now))
}

func refused(reason string, after time.Duration) *RefusedError {
	return &RefusedError{Reason: reason, RetryAfter: max(after, 1)}
}

// unlimited is the limiter without a limit.
type unlimited struct{}

// Acquire implements RateLimiter.
func (unlimited) Acquire(ctx context.Context) error { return ctx.Err() }

// TryAcquire implements RateLimiter.
func (unlimited) TryAcquire(ctx context.Context) error { return ctx.Err() }

// AcquireWithTimeout implements RateLimiter.
func (unlimited) AcquireWithTimeout(ctx context.Context, _ time.Duration) error { return ctx.Err() }
