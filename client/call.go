package client

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// Call is a call that Go made. Its fields are set before it is sent on Done,
// and are its receiver's from then on.
type Call struct {
	// ServiceMethod is what was called, as "Service.Method".
	ServiceMethod string
	// Args is the request, Reply what the answer is decoded into.
	Args, Reply any
	// Error is nil or a *protocol.Error, once the call is complete.
	Error error
	// Done receives the call when it is complete.
	Done chan *Call
}

// Call implements Caller.
func (c *core) Call(ctx context.Context, serviceMethod string, req, resp any) error {
	in := c.gate.enter()
	if in == nil {
		ctx = turnedAway(ctx)
	}
	defer c.gate.leave(in)
	return c.call(ctx, serviceMethod, req, resp)
}

// call is Call beyond the gate.
func (c *core) call(ctx context.Context, serviceMethod string, req, resp any) error {
	if ctx.Err() != nil {
		return endedBefore(ctx)
	}
	ctx, bounded := c.bound(ctx, c.option.RequestTimeout)
	if bounded == nil {
		return funnel(c.chain(ctx, serviceMethod, req, resp))
	}
	return c.callBounded(ctx, bounded, serviceMethod, req, resp)
}

// callBounded is call with a context that has to be ended.
func (c *core) callBounded(ctx context.Context, bounded *endpoint.Context, serviceMethod string, req, resp any) error {
	defer bounded.End()
	return funnel(c.chain(ctx, serviceMethod, req, resp))
}

// Notify implements RPCClient.
func (c *core) Notify(ctx context.Context, serviceMethod string, req any) error {
	return c.Call(ctx, serviceMethod, req, Oneway)
}

// Do implements SGClient.
func (c *core) Do(ctx context.Context, m *protocol.Message) (*protocol.Message, error) {
	if ctx.Err() != nil {
		return nil, endedBefore(ctx)
	}
	in := c.gate.enter()
	if in == nil {
		ctx = turnedAway(ctx)
	}
	defer c.gate.leave(in)
	if tags := tagsOfMessage(m); tags != nil {
		ctx = With(ctx, Tags(tags))
	}
	limit := c.option.RequestTimeout
	if m.Timeout > 0 && (limit == 0 || m.Timeout < limit) {
		limit = m.Timeout
	}
	ctx, bounded := c.bound(ctx, limit)
	if bounded != nil {
		defer bounded.End()
	}
	out := new(protocol.Message)
	var resp any = out
	switch m.MessageType {
	case protocol.TypeRequest:
	case protocol.TypeOneway:
		out.MessageType = protocol.TypeResponse
		resp = Oneway
	default:
		return nil, invalid("Do sends requests and oneways, not a %v", m.MessageType)
	}
	if err := c.chain(ctx, m.ServiceName+"."+m.MethodName, m, resp); err != nil {
		return nil, funnel(err)
	}
	return out, nil
}

// Go implements RPCClient.
func (c *core) Go(ctx context.Context, serviceMethod string, req, resp any, done chan *Call) *Call {
	if done == nil {
		done = make(chan *Call, 1)
	}
	call := &Call{ServiceMethod: serviceMethod, Args: req, Reply: resp, Done: done}
	in := c.gate.enter() // here, since it is pending when Go returns
	c.workers.Go(func() {
		defer c.handOver(call)
		defer c.gate.leave(in)
		c.makeSafely(ctx, in != nil, call)
	})
	return call
}

// makeSafely makes a call. A panic, of a wrapper or of a nil context, is an error: it
// would be nobody's on this goroutine. So is the goroutine's end, as by t.FailNow.
func (c *core) makeSafely(ctx context.Context, admitted bool, call *Call) {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			log.Errorf("sinew: a call of %.128q panicked: %v\n%s", call.ServiceMethod, p, debug.Stack())
			call.Error = protocol.Errorf(protocol.Internal, "the call of %.128q panicked: %v", call.ServiceMethod, p)
		} else if !returned {
			call.Error = protocol.Errorf(protocol.Internal, "the call of %.128q ended its goroutine", call.ServiceMethod)
		}
	}()
	if !admitted {
		ctx = turnedAway(ctx)
	}
	if len(c.option.Wrappers) == 0 {
		call.Error = c.call(ctx, call.ServiceMethod, call.Args, call.Reply)
	} else {
		call.Error = c.callUntilClosed(ctx, call.ServiceMethod, call.Args, call.Reply)
	}
	returned = true
}

// callUntilClosed is call with a context that ends with the client too: a wrapper
// may wait for what is no connection, and Close waits for who calls here.
func (c *core) callUntilClosed(ctx context.Context, serviceMethod string, req, resp any) error {
	if c.closed.Err() != nil {
		return c.call(ctx, serviceMethod, req, resp) // which is refused behind the wrappers
	}
	within := endpoint.Owned(ctx, c.closed)
	defer within.End()
	err := c.call(within, serviceMethod, req, resp)
	if protocol.CodeOf(err) != protocol.Canceled || protocol.IsRemote(err) || c.closed.Err() == nil || ctx.Err() != nil {
		return err
	}
	cut := unavailable(fmt.Errorf("%w: %w", ErrClosed, err), fmt.Sprintf("%v: %s", ErrClosed, asError(err).Message))
	return cut.WithOutcome(protocol.OutcomeOf(err))
}

// handOver waits for room in Done, which its owner may have made too small, but
// not beyond the client's end.
func (c *core) handOver(call *Call) {
	select {
	case call.Done <- call:
		return
	default:
	}
	select {
	case call.Done <- call:
	case <-c.closed.Done():
		log.Warningf("sinew: the result of %.128q was dropped at Close: its Done channel is full", call.ServiceMethod)
	}
}
