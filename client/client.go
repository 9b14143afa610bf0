package client

import (
	"context"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
)

// Caller makes one call and waits for its answer. RPCClient and SGClient are
// Callers, and so may be a test's own type.
type Caller interface {
	// Call calls serviceMethod, "Service.Method", with req, and decodes the
	// answer into resp, a pointer; a nil resp ignores it. It returns at the
	// latest when ctx or Option.RequestTimeout ends, whichever is first. The
	// error is a *protocol.Error, and protocol.OutcomeOf tells what is known of
	// the method. resp is unspecified then, unless it was zero: it stays zero.
	Call(ctx context.Context, serviceMethod string, req, resp any) error
}

// RPCClient calls one provider over one connection, which it makes when a call
// needs it, shares among all callers, and makes again when it was lost. The
// provider can call back what is registered here. All methods may run
// concurrently.
type RPCClient interface {
	Caller

	// Go is Call without the waiting: it returns at once, and the Call that it
	// returns is sent on done when it is complete. A nil done stands for a new
	// channel of capacity 1. Where done has no room, the call waits for room
	// until the client is closed. Go never panics.
	Go(ctx context.Context, serviceMethod string, req, resp any, done chan *Call) *Call

	// Notify calls serviceMethod and wants no answer: nil means that the
	// request was written to the socket.
	Notify(ctx context.Context, serviceMethod string, req any) error

	// Register lets the provider call the exported methods of rcvr that are
	// func(context.Context, *Req, *Resp) error, under the name of its type.
	// Nothing is registered when it fails. See also Handle.
	Register(rcvr any) error

	// RegisterName is Register under a name.
	RegisterName(name string, rcvr any) error

	// Shutdown takes no new calls, waits for those that are pending, be it in a
	// wrapper or between two attempts, and closes the client. It cuts what is left
	// when ctx ends, and then returns ctx's error. It must not be called from a
	// handler, a wrapper or a hook of this client.
	Shutdown(ctx context.Context) error

	// Close ends the client now: pending calls fail with their outcome, the
	// contexts of handlers that run for the provider end. It waits for the
	// handlers and for every goroutine of the client, returns nil, and may be
	// called more than once. It must not be called from a handler, a wrapper or
	// a hook of this client.
	Close() error
}

// SGClient calls an application, whoever provides it: providers come from a
// registry, each call goes to one of them, and a provider that leaves costs no
// call. All methods may run concurrently.
type SGClient interface {
	RPCClient

	// Do sends a request or oneway whose body is encoded already, named by m's
	// header, and returns the response; its body is as it arrived, compressed
	// where its header says so, and the caller's own. A status other than OK is
	// the error. It carries m.MetaData, keys of the framework included: tags in it
	// choose the provider, as those of Tags do. It never carries Option.Auth: who
	// passes on the messages of others must not lend them its own credentials. A
	// positive m.Timeout bounds the call too. The answer to a oneway is an empty
	// response.
	Do(ctx context.Context, m *protocol.Message) (*protocol.Message, error)

	// Broadcast makes one call at every provider that a call could go to, side
	// by side, and waits for all. Each reply is decoded into what replies
	// returns for its provider, in the order of their keys, one after the other,
	// before Broadcast returns; nil ignores all. When any provider fails, the
	// error is the first one's by key, errors.Is and errors.As find those of
	// all, and Explain tells which they are; what others answered is decoded
	// all the same. It is one call for the wrappers, for which replies stands
	// in resp. No provider is called twice, and fail modes do nothing but for
	// FailSafe.
	Broadcast(ctx context.Context, serviceMethod string, req any, replies Replies) error

	// Fork makes one call at several providers side by side, at all where
	// providers is 0 or less. The first success is the call's, and the others
	// are cancelled, on the wire too, or not begun any more where there are
	// many: so the method may run more than once, whether or not it is
	// idempotent. It fails when all fail, with the last error; errors.Is and
	// errors.As find those of all. It is one call for the wrappers, which find
	// a *Forked in resp. Fail modes do nothing but for FailSafe, and it is
	// outside the retry budget.
	Fork(ctx context.Context, serviceMethod string, req, resp any, providers int) error

	// Services lists what the providers say that they serve, each name once,
	// sorted. It waits for the registry's first provider, at most RequestTimeout.
	Services(ctx context.Context) ([]protocol.ServiceInfo, error)

	// Providers returns what the client knows of each listed provider, sorted
	// by key, the caller's own copy; nil before the registry's first list.
	Providers() []ProviderStatus

	// Stats returns what the client's calls have come to. It takes no lock.
	Stats() Stats
}

// Oneway stands in for resp in the CallFunc of a Notify.
var Oneway = endpoint.Oneway

// Invoke is Call with the types of request and reply checked by the compiler:
//
//	resp, err := client.Invoke[AddResponse](ctx, c, "ArithService.Add", &req)
//
// The reply is nil when there is an error.
func Invoke[Resp, Req any](ctx context.Context, c Caller, serviceMethod string, req *Req) (*Resp, error) {
	resp := new(Resp)
	if err := c.Call(ctx, serviceMethod, req, resp); err != nil {
		return nil, err
	}
	return resp, nil
}
