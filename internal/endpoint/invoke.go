//go:build gc && !sinew_purego

package endpoint

import (
	"context"
	"fmt"
	"reflect"
	"unsafe"
)

// This file is the only unsafe code between a decoded request and the method
// that serves it. reflect.Value.Call costs some 400 ns and four allocations per
// call; what is here costs two nanoseconds and none. Build with the tag
// sinew_purego to have reflection instead: nothing else changes.
//
// # What is done
//
// A handler is func(context.Context, *Req, *Resp) error with a receiver. When
// the receiver is a pointer, each of its parameters but the context is one
// pointer, whatever the types behind them are:
//
//	func(recv *T, ctx context.Context, req *Req, reply *Resp) error
//	func(recv unsafe.Pointer, ctx context.Context, req, reply unsafe.Pointer) error
//
// Both lines have the same shape for Go's calling convention, on every
// architecture and with either of its forms (registers or stack): it assigns
// places by the kind and size of each parameter and knows no difference between
// pointer types. So a func value of the first type may be called as one of the
// second, as the "same underlying layout" rule of package unsafe lets a *T be
// read as a *U.
//
// # Why it is sound
//
//   - The func value is one that reflect itself made: Method(i).Func of the
//     POINTER type, turned into an interface. reflect documents that it takes the
//     receiver as its first argument. An interface keeps a func value in its data
//     word as it is, hence the word read out of it is the func value: a pointer to
//     a block whose first word is the code. Nothing is computed from it, and the
//     garbage collector sees it as the func that it is.
//   - The receiver is always a pointer. A value type's own Method(i).Func takes
//     its receiver by value, spread over as many registers as it has fields, and
//     must never be cast. Therefore Register copies a registered value once into a
//     box on the heap and takes the methods from *T, where the compiler has made
//     for each method of T a wrapper that loads the value and calls it. Each call
//     gets a fresh copy of the receiver, as Go promises of a value receiver.
//     Promoted methods (of an embedded struct, pointer or interface) and methods
//     of generic types have such wrappers too, which find the embedded part or
//     bring the dictionary of type arguments.
//   - The types are compared on each call: the type word of the interfaces that
//     hold request and reply must be those seen at registration. One type can have
//     two descriptors (plugins); then the call is refused with a *TypeError, never
//     made with a wrong pointer.
//   - Request, reply and receiver stay alive: unsafe.Pointer is a pointer to the
//     garbage collector, they are never a uintptr here, and for the callee they
//     are ordinary typed arguments in its own stack maps. Escape analysis follows
//     them through the conversions into a call of an unknown function, so what a
//     caller of Method.Call passes lives on the heap.
//   - Panics, stack growth, preemption, the race detector and checkptr see an
//     ordinary call of an ordinary func.
//
// # What is checked at registration
//
// newInvoker verifies the signature once more by reflect, and that interfaces
// and func values are laid out as assumed here (data word of a pointer is that
// pointer, first word of a func value is its code as reflect reports it). A
// toolchain where this does not hold makes Register fail with a message that
// names the build tag; it does not crash later.

// handlerFunc is the shape of every handler whose receiver is a pointer.
type handlerFunc func(recv unsafe.Pointer, ctx context.Context, req, reply unsafe.Pointer) error

// words is how an interface value lies in memory when it holds a pointer or a
// func: the word that identifies the type, and the pointer or func itself.
type words struct{ typ, data unsafe.Pointer }

// wordsOf reads v's two words. The result keeps alive whatever v does.
func wordsOf(v any) words { return *(*words)(unsafe.Pointer(&v)) }

// invoker calls one method of one receiver. It is immutable; calls may run
// concurrently. The zero invoker accepts nothing.
type invoker struct {
	fn   handlerFunc
	recv unsafe.Pointer

	// The type words that request and reply must have.
	req, reply unsafe.Pointer
}

// newInvoker prepares calls of fn, which is Method(i).Func of a pointer type,
// on recv, which is a non-nil pointer of that type.
func newInvoker(fn, recv reflect.Value) (invoker, error) {
	t := fn.Type()
	if t.NumIn() == 0 || recv.Kind() != reflect.Pointer || t.In(0) != recv.Type() || problem(t) != "" {
		return invoker{}, fmt.Errorf("%s is not a handler with a pointer receiver", t)
	}
	f, r := wordsOf(fn.Interface()), wordsOf(recv.Interface())
	if r.data != recv.UnsafePointer() || *(*uintptr)(f.data) != fn.Pointer() {
		return invoker{}, fmt.Errorf("this toolchain lays out interfaces or funcs in a way unknown here: build with -tags sinew_purego")
	}
	return invoker{
		fn:    *(*handlerFunc)(unsafe.Pointer(&f.data)),
		recv:  r.data,
		req:   typeWord(t.In(2)),
		reply: typeWord(t.In(3)),
	}, nil
}

// typeWord is the type word of an interface that holds what NewRequest and
// NewReply make for the pointer type p: an unnamed pointer, should p have a name.
func typeWord(p reflect.Type) unsafe.Pointer {
	return wordsOf(reflect.Zero(reflect.PointerTo(p.Elem())).Interface()).typ
}

// ready tells that there is a method to call.
func (v *invoker) ready() bool { return v.fn != nil }

// accepts tells whether req and reply are of the types that the method takes.
// Only then may call be used.
func (v *invoker) accepts(req, reply any) bool {
	return v.ready() && wordsOf(req).typ == v.req && wordsOf(reply).typ == v.reply
}

// call runs the method.
func (v *invoker) call(ctx context.Context, req, reply any) error {
	return v.fn(v.recv, ctx, wordsOf(req).data, wordsOf(reply).data)
}
