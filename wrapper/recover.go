package wrapper

import (
	"context"
	"runtime/debug"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// Recover turns a panic of what it wraps into an Internal error of that call.
// Without it a panic in a handler is contained all the same, by the server's
// core; Recover adds a count and a hook, and on the client it contains panics
// of the wrappers inside it, which otherwise are the caller's.
type Recover struct {
	server.BaseWrapper

	// OnPanic is told the method, what was panicked with, and the stack. It
	// may run concurrently. The default logs them as an error.
	OnPanic func(serviceMethod string, value any, stack []byte)

	panics atomic.Uint64
}

var (
	_ client.Wrapper = (*Recover)(nil)
	_ server.Wrapper = (*Recover)(nil)
)

// Panics returns how many panics were caught.
func (r *Recover) Panics() uint64 { return r.panics.Load() }

// WrapCall implements client.Wrapper. The outcome of a call that panicked is
// MaybeRun: nobody knows how far it got.
func (r *Recover) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = r.caught(serviceMethod, p).WithOutcome(protocol.MaybeRun)
			}
		}()
		return next(ctx, serviceMethod, req, resp)
	}
}

// WrapHandleRequest implements server.Wrapper.
func (r *Recover) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = r.caught(req.ServiceName+"."+req.MethodName, p)
			}
		}()
		return next(ctx, req, res)
	}
}

func (r *Recover) caught(serviceMethod string, value any) *protocol.Error {
	r.panics.Add(1)
	stack := debug.Stack()
	if r.OnPanic != nil {
		r.OnPanic(serviceMethod, value, stack)
	} else {
		log.Errorf("sinew: %s panicked: %v\n%s", serviceMethod, value, stack)
	}
	return protocol.Errorf(protocol.Internal, "%s panicked; the log of the side that ran it has the stack", serviceMethod)
}
