package ratelimit

import (
	"context"
	"fmt"
	"time"
)

// RateLimiter hands out tokens at some rate; who has one may go ahead. All
// methods may run concurrently. An error is a *RefusedError where the limit
// refused, or that of ctx where it had ended; no token was taken then.
type RateLimiter interface {
	// Acquire waits for a token until ctx ends. It refuses at once when too
	// many wait, or when the token would come after the deadline of ctx.
	Acquire(ctx context.Context) error
	// TryAcquire takes a token that is there now, or refuses. Unless the
	// limiter is a Remote it does not wait.
	TryAcquire(ctx context.Context) error
	// AcquireWithTimeout is Acquire for those who wait no longer than d; with a
	// d of 0 or less it is TryAcquire.
	AcquireWithTimeout(ctx context.Context, d time.Duration) error
}

// Remote is a RateLimiter that asks another process for each token. Even its
// TryAcquire takes as long as that does, so it has no place where nobody may
// wait, such as a server's admission.
type Remote interface {
	RateLimiter
	// IsRemote does nothing. It marks the type.
	IsRemote()
}

// RefusedError says that the limit let a caller not go ahead.
type RefusedError struct {
	// Reason says what was in the way.
	Reason string
	// RetryAfter is when to come back: trying earlier is refused too, unless
	// others give up. It is above 0.
	RetryAfter time.Duration
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("rate limit: %s; come back in %v", e.Reason, e.RetryAfter)
}
