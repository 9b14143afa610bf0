package endpoint

import (
	"context"
	"fmt"
	"time"
)

// limit is what ends a call that this side makes, unless its caller's context
// does so before.
type limit struct {
	name     string
	length   time.Duration
	deadline time.Time
}

// AttemptContext is a Context that bounds one attempt of a call, within the
// call's own.
type AttemptContext struct{ Context }

var _ context.Context = (*AttemptContext)(nil)

// BoundAttempt returns a context that ends with parent, or after timeout, which
// is positive. Its End must be called.
func BoundAttempt(parent context.Context, timeout time.Duration) *AttemptContext {
	c := &AttemptContext{Context{parent: parent}}
	c.narrow(timeout)
	return c
}

// Value is Context's.
func (c *AttemptContext) Value(key any) any {
	if _, ok := key.(limitKey); ok && c.limit > 0 {
		return limit{"AttemptTimeout", c.limit, c.deadline}
	}
	return c.Context.Value(key)
}

// narrow sets the deadline to the parent's, or to what timeout makes of it if
// that is positive and earlier.
func (c *Context) narrow(timeout time.Duration) {
	c.deadline, _ = c.parent.Deadline()
	if timeout > 0 {
		if d := time.Now().Add(timeout); c.deadline.IsZero() || d.Before(c.deadline) {
			c.deadline, c.limit = d, timeout
		}
	}
}

// Begun returns when the call that ctx bounds was made; false when that is not
// known, since no limit of this side bounds it.
func Begun(ctx context.Context) (time.Time, bool) {
	if c, ok := ctx.(*Context); ok && c.limit > 0 {
		return c.deadline.Add(-c.limit), true
	}
	return time.Time{}, false
}

// LimitName says whose deadline ctx has: the name of an option, or "" for the
// caller's context.
func LimitName(ctx context.Context) string {
	name, _ := limitOf(ctx)
	return name
}

func limitOf(ctx context.Context) (name string, length time.Duration) {
	l, ok := ctx.Value(limitKey{}).(limit)
	if deadline, _ := ctx.Deadline(); !ok || !deadline.Equal(l.deadline) {
		return "", 0 // who derived the context set an earlier one
	}
	return l.name, l.length
}

// LimitText says which limit ended a call that was made with ctx, for an error
// of code DeadlineExceeded.
func LimitText(ctx context.Context) string {
	if name, length := limitOf(ctx); name != "" {
		return fmt.Sprintf("no answer within %s (%v)", name, length)
	}
	if deadline, ok := ctx.Deadline(); ok {
		return "no answer before the deadline of the caller's context, " + deadline.Format(time.RFC3339Nano)
	}
	return "no answer before the deadline"
}

// OutOfTime is in the chain of the error of a call that ended at its deadline.
type OutOfTime struct {
	// Given is how long the peer had for the call when it was given to the session;
	// 0 or less: it came too late for that.
	Given time.Duration
	cause error
}

// Error implements error.
func (o *OutOfTime) Error() string { return fmt.Sprintf("the peer had %v", o.Given) }

// Unwrap returns what else there is to say.
func (o *OutOfTime) Unwrap() error { return o.cause }

// waitOn returns what a call made with ctx has to watch: a context whose Done
// costs nothing more, and the deadline that counts, which is never later than
// those of the contexts that are passed over.
func waitOn(ctx, owner context.Context) (context.Context, time.Time) {
	deadline, _ := ctx.Deadline()
	for {
		c := made(ctx, owner)
		if c == nil {
			return ctx, deadline
		}
		ctx = c.parent
	}
}

// made returns the Context in ctx if it bounds a call that this side makes. One that
// ends with another owner is no such bound: nothing else tells of that.
func made(ctx, owner context.Context) *Context {
	switch c := ctx.(type) {
	case *Context:
		if c.task == nil && (c.owner == nil || c.owner == owner) {
			return c
		}
	case *AttemptContext:
		return &c.Context
	}
	return nil
}
