package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sinew-rpc/sinew/internal/breaker"
	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// DefaultCircuitBreakerWindow is what zero stands for in CircuitBreakerWindow.
const DefaultCircuitBreakerWindow = time.Second

// maxBreakerThreshold bounds CircuitBreakerThreshold: each failure that may count
// takes 8 bytes for each provider.
const maxBreakerThreshold = 1 << 20

// BreakerState is what a provider's breaker does with calls.
type BreakerState = breaker.State

// The states of a breaker.
const (
	// BreakerClosed: calls go there. It is also the state without a breaker.
	BreakerClosed = breaker.Closed
	// BreakerOpen: none does, until the window is over. The next call is the
	// probe.
	BreakerOpen = breaker.Open
	// BreakerHalfOpen: the probe is under way, and decides; the next call does
	// where that told nothing, as one that its caller cancelled. A Notify passes
	// beside it and decides nothing, unless it fails.
	BreakerHalfOpen = breaker.HalfOpen
)

// BreakerError says why a provider is not called, and is the cause when a call
// fails since no other provider was left.
type BreakerError struct {
	// Threshold failures within Window opened it.
	Threshold int
	Window    time.Duration
	// RetryAt is when the next call may go there.
	RetryAt time.Time
}

// Error implements error.
func (e *BreakerError) Error() string {
	return fmt.Sprintf("client: its breaker is open after %d failures within %v", e.Threshold, e.Window)
}

// newGuard returns the breaker of one provider, nil when there is to be none.
func (n *connection) newGuard() *breaker.Breaker {
	o := &n.core.option
	if o.CircuitBreakerThreshold <= 0 {
		return nil
	}
	return breaker.New(breaker.Settings{
		Threshold: o.CircuitBreakerThreshold,
		Window:    o.CircuitBreakerWindow,
		OnChange:  n.breakerChanged,
	})
}

// admits reports whether the breaker would let a call pass now, or a oneway.
func (n *connection) admits(oneway bool) bool {
	switch {
	case n.guard == nil:
		return true
	case oneway:
		return n.guard.ReadyBeside()
	}
	return n.guard.Ready()
}

// broken returns why the breaker lets no call, or oneway, pass now, nil when it does.
func (n *connection) broken(oneway bool) *BreakerError {
	if n.admits(oneway) {
		return nil
	}
	return n.breakerError(n.guard.RetryAt())
}

// shut is broken, but nil while a probe is due or under way: that may leave its
// place to the next call at any moment, and so calls look for themselves.
func (n *connection) shut() *BreakerError {
	if n.guard == nil || n.guard.State() == breaker.HalfOpen {
		return nil
	}
	return n.broken(false)
}

func (n *connection) breakerError(retryAt time.Time) *BreakerError {
	o := &n.core.option
	return &BreakerError{Threshold: o.CircuitBreakerThreshold, Window: o.CircuitBreakerWindow, RetryAt: retryAt}
}

// breakerChanged tells of a change, unless a newer one was told meanwhile.
func (n *connection) breakerChanged(c breaker.Change) {
	var why error
	if c.To == breaker.Open {
		why = n.breakerError(c.RetryAt)
	}
	if !n.noteBreaker(c, why) {
		return
	}
	switch {
	case c.To == breaker.Closed:
		log.Infof("sinew: the breaker of %s is closed", n)
	case c.From == breaker.Closed:
		log.Warningf("sinew: %s is not called: %v", n, why)
	}
}

// noteBreaker reports whether c is news.
func (n *connection) noteBreaker(c breaker.Change, why error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.Generation <= n.breaker.Generation || n.closed != nil {
		return false
	}
	n.breaker = c
	state, _ := n.statusLocked()
	n.changedLocked(state, why)
	if c.To != breaker.HalfOpen { // who looks for themselves need no view
		n.onHealth()
	}
	return true
}

// brokenOff is the error of a call that a breaker refuses.
func brokenOff(e *BreakerError, text string) *protocol.Error {
	wait := max(0, time.Until(e.RetryAt))
	refusal := unavailable(e, fmt.Sprintf("%s; the next call may go there in %v", text, wait.Round(time.Millisecond)))
	refusal.RetryAfter = wait
	return refusal
}

// resultOf says what an attempt tells of the provider: what providers do with calls
// counts. That none could be made counts for nothing: with who cannot be reached
// Failing has to do, and its pauses.
func resultOf(err error, resp any) breaker.Result {
	switch {
	case err == nil && resp == Oneway:
		return breaker.Ignored // it was written, and who knows
	case err == nil:
		return breaker.Success
	case unhealthy(err):
		return breaker.Failure
	}
	switch protocol.OutcomeOf(err) {
	case protocol.Ran, protocol.Refused:
		if !protocol.IsDraining(err) {
			return breaker.Success
		}
	}
	return breaker.Ignored
}

// unhealthy reports whether err speaks of the provider's health, rather than of
// the caller's mistake or its own cancellation:
//   - DeadlineExceeded, whoever set the limit, but see verdict;
//   - Unavailable, unless the attempt never left (NotSent), or the provider is
//     leaving;
//   - ResourceExhausted with Elsewhere, which is an overloaded provider's, unless
//     it says when to come back, as a rate limit does.
func unhealthy(err error) bool {
	var e *protocol.Error
	if !errors.As(err, &e) || e == nil {
		return false
	}
	switch e.Code {
	case protocol.DeadlineExceeded:
		return true
	case protocol.Unavailable:
		return protocol.OutcomeOf(e) != protocol.NotSent && !protocol.IsDraining(e)
	case protocol.ResourceExhausted:
		return e.Elsewhere && e.RetryAfter == 0
	}
	return false
}

// verdict is what the breaker is told of an attempt. Selectors compare providers,
// and every failure tells them something; a breaker cuts one off from all calls.
// So what refuses one method for a while, as a server's breaker does, is an answer
// to it, and a deadline that nobody could have kept tells it nothing.
func (c *sgClient) verdict(ctx context.Context, begun time.Time, err error, result breaker.Result) breaker.Result {
	if result != breaker.Failure {
		return result
	}
	var e *protocol.Error // not before: it is on the heap
	switch {
	case !errors.As(err, &e):
	case e.Code == protocol.DeadlineExceeded && given(ctx, begun, e) < c.patience:
		return breaker.Ignored
	case e.Code == protocol.Unavailable && protocol.OutcomeOf(e) == protocol.Refused && e.RetryAfter > 0:
		return breaker.Success
	}
	return result
}

// leastPatience is how long a provider must have had for a deadline to say something
// about it rather than about the caller.
const leastPatience = 50 * time.Millisecond

// patience is leastPatience, or half of what the client's own limits give an
// attempt where that is less: these are how long this client waits for anybody.
func (o *SGOption) patience() time.Duration {
	least := leastPatience
	if o.RequestTimeout > 0 {
		least = min(least, o.RequestTimeout/2/time.Duration(1+o.Retries))
	}
	if o.AttemptTimeout > 0 {
		least = min(least, o.AttemptTimeout/2)
	}
	return least
}

// given is how long a provider had for an attempt, begun with ctx, that ended with
// e at a deadline: nothing where there was no connection yet. The wait for room
// among what it does not read is its own.
func given(ctx context.Context, begun time.Time, e *protocol.Error) time.Duration {
	var late *endpoint.OutOfTime
	deadline, bounded := ctx.Deadline()
	switch {
	case errors.As(e, &late):
		return late.Given
	case !protocol.IsRemote(e):
		return 0
	case !bounded:
		return math.MaxInt64
	}
	return deadline.Sub(begun)
}
