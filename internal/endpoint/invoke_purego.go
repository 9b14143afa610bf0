//go:build !gc || sinew_purego

package endpoint

import (
	"context"
	"fmt"
	"reflect"
)

// invoker calls one method of one receiver by reflection: what the build tag
// sinew_purego, or a compiler other than gc, puts in the place of invoke.go. It
// is immutable; calls may run concurrently. The zero invoker accepts nothing.
type invoker struct {
	fn, recv   reflect.Value
	req, reply reflect.Type // unnamed pointer types, as NewRequest and NewReply make them
}

// newInvoker prepares calls of fn, which is Method(i).Func of a pointer type,
// on recv, which is a non-nil pointer of that type.
func newInvoker(fn, recv reflect.Value) (invoker, error) {
	t := fn.Type()
	if t.NumIn() == 0 || recv.Kind() != reflect.Pointer || t.In(0) != recv.Type() || problem(t) != "" {
		return invoker{}, fmt.Errorf("%s is not a handler with a pointer receiver", t)
	}
	return invoker{fn: fn, recv: recv, req: reflect.PointerTo(t.In(2).Elem()), reply: reflect.PointerTo(t.In(3).Elem())}, nil
}

// ready tells that there is a method to call.
func (v *invoker) ready() bool { return v.fn.IsValid() }

// accepts tells whether req and reply are of the types that the method takes.
// Only then may call be used.
func (v *invoker) accepts(req, reply any) bool {
	return v.ready() && reflect.TypeOf(req) == v.req && reflect.TypeOf(reply) == v.reply
}

// call runs the method.
func (v *invoker) call(ctx context.Context, req, reply any) error {
	c := reflect.Zero(contextType) // reflect.ValueOf of a nil context is no value at all
	if ctx != nil {
		c = reflect.ValueOf(ctx)
	}
	out := v.fn.Call([]reflect.Value{v.recv, c, reflect.ValueOf(req), reflect.ValueOf(reply)})
	err, _ := out[0].Interface().(error)
	return err
}
