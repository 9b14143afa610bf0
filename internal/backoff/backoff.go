// Package backoff says how long to wait before trying again: capped exponential
// growth with jitter, so that neither a zero value nor a long outage makes a
// process hammer its peer, and many processes do not come back at one moment.
//
// The forms of jitter are those of Marc Brooker, "Exponential Backoff And
// Jitter", AWS Architecture Blog, 2015.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// The values that a zero Policy stands for. The cap is a few seconds, not
// minutes, because whoever waits longer prolongs the outage after its end.
const (
	DefaultInitial = 100 * time.Millisecond
	DefaultMax     = 5 * time.Second
)

// shortest is the least that any delay takes, whatever the settings and the
// dice say: a thousand attempts a second are the most that one loop makes.
const shortest = time.Millisecond

// Jitter says which part of a delay is left to chance.
type Jitter uint8

const (
	// EqualJitter spreads over the upper half of the delay. It is the
	// default: there is always a real pause.
	EqualJitter Jitter = iota
	// FullJitter spreads over the whole delay, down to 1 ms: for many
	// processes that fail at one moment.
	FullJitter
)

// Policy says how delays grow: from Initial, doubling, up to Max. The zero
// value is a good one. It is a value and may be used concurrently.
type Policy struct {
	// Initial is the longest that the first delay may be. The default, also
	// for a negative value, is 100 ms; at least 1 ms.
	Initial time.Duration
	// Max is the longest that any delay may be. The default, also for a
	// negative value, is 5 s; at least Initial.
	Max time.Duration
	// Jitter is EqualJitter unless set.
	Jitter Jitter
}

// Bounds returns the shortest and the longest delay after that many attempts
// that failed before: 0 and every negative number stand for the first delay.
func (p Policy) Bounds(failed int) (low, high time.Duration) {
	high = p.ceiling(failed)
	if p.Jitter == FullJitter {
		return shortest, high
	}
	return max(shortest, high/2), high
}

// ceiling doubles the initial delay without overflow, up to the cap.
func (p Policy) ceiling(failed int) time.Duration {
	initial, limit := p.Initial, p.Max
	if initial <= 0 {
		initial = DefaultInitial
	}
	if limit <= 0 {
		limit = DefaultMax
	}
	initial = max(initial, shortest)
	limit = max(limit, initial)
	for ; failed > 0 && initial < limit; failed-- {
		if initial > limit/2 {
			return limit
		}
		initial *= 2
	}
	return initial
}

// Delay returns a random delay within Bounds, both included.
func (p Policy) Delay(failed int) time.Duration {
	low, high := p.Bounds(failed)
	return low + time.Duration(rand.Int64N(int64(high-low)+1))
}

// Wait waits for a Delay. It returns ctx's cause as soon as ctx ends, also
// when that was before.
func (p Policy) Wait(ctx context.Context, failed int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(p.Delay(failed))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Backoff is a Policy that counts for its loop. The zero value is ready. It
// belongs to one goroutine.
type Backoff struct {
	Policy Policy

	failed int
}

// Next returns the delay before the next attempt, longer each time up to the
// cap.
func (b *Backoff) Next() time.Duration {
	d := b.Policy.Delay(b.failed)
	b.failed++
	return d
}

// Wait waits for the delay that Next would return, as Policy.Wait does.
func (b *Backoff) Wait(ctx context.Context) error {
	failed := b.failed
	b.failed++
	return b.Policy.Wait(ctx, failed)
}

// Failed returns how often Next and Wait were called since Reset.
func (b *Backoff) Failed() int { return b.failed }

// Reset is for after a success: the next delay is the first again.
func (b *Backoff) Reset() { b.failed = 0 }
