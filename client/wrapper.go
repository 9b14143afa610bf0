package client

import (
	"context"
	"fmt"

	"github.com/sinew-rpc/sinew/registry"
)

// CallFunc makes a call. resp is Oneway for a Notify, Replies for a Broadcast and
// *Forked for a Fork; req and resp are *protocol.Message for a Do. An error that is no *protocol.Error is made one
// when it leaves the client.
type CallFunc func(ctx context.Context, serviceMethod string, req, resp any) error

// Wrapper puts something round every call of a client: Call, Go, Notify,
// Invoke and Do alike, once per call however many attempts it takes.
type Wrapper interface {
	// WrapCall is called once, when the client is made, and returns what does
	// the wrapper's work and calls next. option is the client's, for reading
	// settings; for a bare RPCClient only the Option in it is set. What it
	// returns runs concurrently.
	WrapCall(option *SGOption, next CallFunc) CallFunc
}

// Attempt is one try of a call at one provider.
type Attempt struct {
	// Number is 0 for the first attempt of a call, and one more for each retry
	// and hedge. One that met a provider which was gone or leaving is made
	// again elsewhere under the same number.
	Number int
	// Provider is who is called. It is for reading alone.
	Provider registry.Provider
	// ServiceMethod is what is called, as "Service.Method".
	ServiceMethod string

	conn      *connection
	target    target
	req, resp any
}

// IsOneway reports whether nobody answers: success says that it was written, and
// nothing about who was called.
func (a *Attempt) IsOneway() bool { return a.resp == Oneway }

// AttemptFunc makes an attempt.
type AttemptFunc func(ctx context.Context, a *Attempt) error

// AttemptWrapper is optional for a Wrapper in the list: it puts something round
// every attempt, closer to the wire than all that WrapCall does. First in the
// list is outermost.
type AttemptWrapper interface {
	// WrapAttempt is called once, when the client is made. What it returns runs
	// concurrently, also for one call (hedges, Fork, Broadcast), and must
	// return soon after ctx ends: the call waits for attempts that lost.
	// Passing another Attempt to next than it was given fails.
	WrapAttempt(option *SGOption, next AttemptFunc) AttemptFunc
}

// wrapCalls composes the chain: first in the list is outermost.
func wrapCalls(option *SGOption, end CallFunc) (CallFunc, error) {
	for i := len(option.Wrappers) - 1; i >= 0; i-- {
		if end = option.Wrappers[i].WrapCall(option, end); end == nil {
			return nil, &OptionError{fmt.Sprintf("Wrappers[%d]", i), "its WrapCall returned nil: return next to do nothing"}
		}
	}
	return end, nil
}

// wrapAttempts composes the inner chain, nil when no wrapper wants one.
func wrapAttempts(option *SGOption) (AttemptFunc, error) {
	var chain AttemptFunc
	for i := len(option.Wrappers) - 1; i >= 0; i-- {
		w, ok := option.Wrappers[i].(AttemptWrapper)
		if !ok {
			continue
		}
		if chain == nil {
			chain = attempt
		}
		if chain = w.WrapAttempt(option, chain); chain == nil {
			return nil, &OptionError{fmt.Sprintf("Wrappers[%d]", i), "its WrapAttempt returned nil: return next to do nothing"}
		}
	}
	return chain, nil
}

// attempt is the end of the inner chain.
func attempt(ctx context.Context, a *Attempt) error {
	if a.conn == nil {
		return invalid("%.128q: an AttemptWrapper passed on an Attempt of its own: pass on the one it was given", a.ServiceMethod)
	}
	return a.conn.call(ctx, a.target.call, &a.target, 0, a.ServiceMethod, a.req, a.resp)
}
