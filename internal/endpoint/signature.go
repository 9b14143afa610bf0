package endpoint

import (
	"context"
	"fmt"
	"reflect"

	"github.com/sinew-rpc/sinew/protocol"
)

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// receiver is a registered value in the form that calls need: behind a pointer.
type receiver struct {
	typ   reflect.Type  // as it was registered
	ptr   reflect.Value // never nil: what was registered, or the box of its copy
	boxed bool          // registered by value
}

// newReceiver takes what a user registers: a pointer stays what it is, so that
// its methods see later changes; a value is copied once.
func newReceiver(rcvr any) (receiver, error) {
	v := reflect.ValueOf(rcvr)
	if !v.IsValid() {
		return receiver{}, ErrNilReceiver
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return receiver{}, fmt.Errorf("%w of type %s", ErrNilReceiver, v.Type())
		}
		return receiver{typ: v.Type(), ptr: v}, nil
	}
	box := reflect.New(v.Type())
	box.Elem().Set(v)
	return receiver{typ: v.Type(), ptr: box, boxed: true}, nil
}

// elem is the type that carries the name: T for T and *T.
func (r receiver) elem() reflect.Type { return r.ptr.Type().Elem() }

// methodSet is the exported methods of a receiver, sorted out.
type methodSet struct {
	handlers []*Method
	rejected []Candidate // of another form
	missed   []Candidate // handlers of the pointer, but not of the value that was registered
}

// methods sorts out the methods of r.
func (r receiver) methods() (methodSet, error) {
	var set methodSet
	t := r.ptr.Type()
	for i := range t.NumMethod() {
		m := t.Method(i)
		if why := problem(m.Type); why != "" {
			set.rejected = append(set.rejected, Candidate{m.Name, why})
			continue
		}
		if r.boxed && !hasMethod(r.typ, m.Name) {
			set.missed = append(set.missed, Candidate{m.Name, "has a pointer receiver: register a pointer"})
			continue
		}
		handler, err := newStructMethod(m, r.ptr)
		if err != nil {
			return methodSet{}, fmt.Errorf("method %s: %w", m.Name, err)
		}
		set.handlers = append(set.handlers, handler)
	}
	return set, nil
}

func hasMethod(t reflect.Type, name string) bool {
	_, ok := t.MethodByName(name)
	return ok
}

// newStructMethod makes a Method of m, a handler of the pointer recv.
func newStructMethod(m reflect.Method, recv reflect.Value) (*Method, error) {
	if err := protocol.CheckMethodName(m.Name); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadName, err)
	}
	inv, err := newInvoker(m.Func, recv)
	if err != nil {
		return nil, err
	}
	return &Method{
		Name:    m.Name,
		req:     m.Type.In(2).Elem(),
		reply:   m.Type.In(3).Elem(),
		invoker: inv,
	}, nil
}

// problem says why t, a method with its receiver as first argument, is not a
// handler; empty if it is one.
func problem(t reflect.Type) string {
	switch {
	case isTypedForm(t):
		return "returns its reply: register it with Handle, or take a *Resp as third argument and return error alone"
	case t.IsVariadic():
		return "is variadic"
	case t.NumIn() != 4:
		return fmt.Sprintf("takes %d arguments, want 3: context.Context, *Req, *Resp", t.NumIn()-1)
	case t.In(1) != contextType:
		return fmt.Sprintf("first argument is %s, want context.Context", t.In(1))
	case t.In(2).Kind() != reflect.Pointer:
		return fmt.Sprintf("request is %s, want a pointer", t.In(2))
	case t.In(3).Kind() != reflect.Pointer:
		return fmt.Sprintf("reply is %s, want a pointer", t.In(3))
	case t.NumOut() != 1:
		return fmt.Sprintf("returns %d values, want one error", t.NumOut())
	case t.Out(0) != errorType:
		return fmt.Sprintf("returns %s, want error", t.Out(0))
	}
	return ""
}

// isTypedForm tells whether t, a method with its receiver, could be passed to
// Handle: func(context.Context, *Req) (*Resp, error).
func isTypedForm(t reflect.Type) bool {
	return t.NumIn() == 3 && t.NumOut() == 2 && t.In(1) == contextType &&
		t.In(2).Kind() == reflect.Pointer && t.Out(0).Kind() == reflect.Pointer && t.Out(1) == errorType
}
