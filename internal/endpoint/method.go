package endpoint

import (
	"context"
	"fmt"
	"reflect"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// Method is one method that can be called from afar: a handler of a registered
// struct, or a typed func. Tables make the former, NewTyped the latter. It does
// not change once it is in a Table, and its methods may run concurrently.
type Method struct {
	// Service and Name are what callers join with a dot. They are empty until
	// the method is registered.
	Service, Name string

	req, reply reflect.Type // Req and Resp themselves, not the pointers

	// One of the two makes the call: invoker for a struct's method, typed for a
	// func. typed gets the Method for its errors.
	invoker invoker
	typed   func(ctx context.Context, m *Method, req any) (any, error)

	newReq, newReply func() any // nil: by reflection

	pace *transport.Pace // of its requests; nil until it is in a Table
}

// NewTyped makes a Method of f without any reflection on a call. The reply is
// what f returns; nil without an error is answered as *NilReplyError. Calls of f
// run concurrently. A Table refuses to take the method if f is nil.
func NewTyped[Req, Resp any](f func(context.Context, *Req) (*Resp, error)) *Method {
	m := &Method{
		req:      reflect.TypeFor[Req](),
		reply:    reflect.TypeFor[Resp](),
		newReq:   func() any { return new(Req) },
		newReply: func() any { return new(Resp) },
	}
	if f == nil {
		return m
	}
	m.typed = func(ctx context.Context, m *Method, req any) (any, error) {
		r, ok := req.(*Req)
		if !ok {
			return nil, m.typeError(req, (*Resp)(nil))
		}
		resp, err := f(ctx, r)
		if err != nil {
			return nil, err
		}
		if resp == nil {
			return nil, internalError(&NilReplyError{Method: m.FullName(), Reply: reflect.TypeFor[*Resp]().String()})
		}
		return resp, nil
	}
	return m
}

// FullName returns "Service.Name", as callers write it.
func (m *Method) FullName() string { return m.Service + "." + m.Name }

// Types returns what the method takes and answers: the types behind the
// pointers, so for *AddRequest it is AddRequest.
func (m *Method) Types() (req, resp reflect.Type) { return m.req, m.reply }

// NewRequest returns a pointer to a new zero request, for a serializer to
// decode into and for Call. It allocates once.
func (m *Method) NewRequest() any { return newOf(m.newReq, m.req) }

// NewReply returns a pointer to a new zero reply: for a struct's method what
// Call fills, for a typed func of use to those who want its type. It allocates
// once.
func (m *Method) NewReply() any { return newOf(m.newReply, m.reply) }

func newOf(f func() any, t reflect.Type) any {
	if f != nil {
		return f()
	}
	return reflect.New(t).Interface()
}

// NeedsReply tells whether Call wants a reply to fill. A typed func returns its
// own, so NewReply can be saved.
func (m *Method) NeedsReply() bool { return m.typed == nil }

// callable tells that there is something to call behind m.
func (m *Method) callable() bool { return m != nil && (m.typed != nil || m.invoker.ready()) }

// Call runs the method with req, a pointer to its request type, and returns its
// reply. A struct's method fills reply, a pointer to its reply type, and that is
// what Call returns; a typed func ignores reply, which may be nil. With an error
// the returned reply is nil.
//
// Errors of the method come back as they are. Two are Call's own, each a
// *protocol.Error of code Internal with the named cause: *TypeError says that req
// or reply is of another type, and the method was not entered; *NilReplyError
// says that a typed func returned neither reply nor error. A panic of the method
// passes through. Call itself allocates nothing, except in the sinew_purego
// build.
func (m *Method) Call(ctx context.Context, req, reply any) (resp any, err error) {
	if m.typed != nil {
		return m.typed(ctx, m, req)
	}
	if !m.invoker.accepts(req, reply) {
		return nil, m.typeError(req, reply)
	}
	if err := m.invoker.call(ctx, req, reply); err != nil {
		return nil, err
	}
	return reply, nil
}

func (m *Method) typeError(req, reply any) error {
	e := &TypeError{Method: m.FullName(), Got: fmt.Sprintf("%T, %T", req, reply)}
	if m.req != nil && m.reply != nil {
		e.Want = fmt.Sprintf("*%s, *%s", m.req, m.reply)
	}
	return internalError(e)
}

func internalError(cause error) error {
	return protocol.NewError(protocol.Internal, cause.Error()).WithCause(cause)
}

// TypeError is the cause of what is returned by Method.Call for a request or reply of another type
// than the method's. The method was not entered.
type TypeError struct {
	Method    string // "Service.Name"
	Want, Got string // the Go types of request and reply; Want is empty for a zero Method
}

// Error names the method and both pairs of types.
func (e *TypeError) Error() string {
	return fmt.Sprintf("sinew: %s called with (%s), it takes (%s): make them with NewRequest and NewReply", e.Method, e.Got, e.Want)
}

// NilReplyError is the cause of what is returned by Method.Call when a typed func returned a nil
// reply and a nil error: a bug in that func, which did run.
type NilReplyError struct {
	Method string // "Service.Name"
	Reply  string // the Go type that it should have returned
}

// Error names the method and says what it should return.
func (e *NilReplyError) Error() string {
	return fmt.Sprintf("sinew: %s returned a nil %s and no error: return a reply or an error", e.Method, e.Reply)
}
