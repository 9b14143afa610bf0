package endpoint

import (
	"context"
	"runtime"
	"testing"
)

type addRequest struct{ A, B int }
type addReply struct{ Sum int }

// The receivers of every kind that a user may register: each answers A+B and
// what it itself holds, so that a receiver that arrives wrong gives a wrong sum.

type valueRecv struct{ base, _ int }

func (v valueRecv) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = v.base + req.A + req.B
	return nil
}

type pointerRecv struct{ base int }

func (p *pointerRecv) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = p.base + req.A + req.B
	return nil
}

type bigRecv struct {
	pad  [100]int64
	base int
	name string
	f    float64
}

func (b bigRecv) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = b.base + req.A + req.B + int(b.pad[99]) + len(b.name) + int(b.f)
	return nil
}

type emptyRecv struct{}

func (emptyRecv) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = 100 + req.A + req.B
	return nil
}

// onePointerRecv lies in an interface as the pointer in it, not behind one.
type onePointerRecv struct{ base *int }

func (o onePointerRecv) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = *o.base + req.A + req.B
	return nil
}

type funcRecv func() int

func (f funcRecv) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = f() + req.A + req.B
	return nil
}

type mapRecv map[string]int

func (m mapRecv) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = m["base"] + req.A + req.B
	return nil
}

type floatRecv float64

func (f floatRecv) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = int(f) + req.A + req.B
	return nil
}

type genericRecv[T int | int8] struct{ base T }

func (g genericRecv[T]) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = int(g.base) + req.A + req.B
	return nil
}

type genericPointerRecv[T int | int8] struct{ base T }

func (g *genericPointerRecv[T]) Add(_ context.Context, req *addRequest, reply *addReply) error {
	reply.Sum = int(g.base) + req.A + req.B
	return nil
}

// adder is a contract embedded as an interface.
type adder interface {
	Add(context.Context, *addRequest, *addReply) error
}

type (
	embedsValue struct {
		_ string
		valueRecv
	}
	embedsPointerRecv struct {
		_ string
		pointerRecv
	}
	embedsPointer struct {
		_ string
		*pointerRecv
	}
	embedsInterface struct {
		_ string
		adder
	}
	embedsGeneric struct {
		_ string
		genericRecv[int8]
	}
	embedsDeeply struct {
		_ [3]int
		*embedsInterface
	}
)

func TestCallReachesEveryKindOfReceiver(t *testing.T) {
	base := 100
	type local struct{ valueRecv }
	tests := []struct {
		name string
		rcvr any
	}{
		{"value", valueRecv{base: 100}},
		{"pointer to value receiver", &valueRecv{base: 100}},
		{"pointer", &pointerRecv{base: 100}},
		{"big value", bigRecv{base: 80, pad: [100]int64{99: 10}, name: "12345", f: 5}},
		{"pointer to big value", &bigRecv{base: 100}},
		{"zero size", emptyRecv{}},
		{"pointer to zero size", &emptyRecv{}},
		{"struct of one pointer", onePointerRecv{&base}},
		{"pointer to struct of one pointer", &onePointerRecv{&base}},
		{"func", funcRecv(func() int { return base })},
		{"map", mapRecv{"base": 100}},
		{"float", floatRecv(100)},
		{"generic value", genericRecv[int8]{100}},
		{"pointer to generic value", &genericRecv[int]{100}},
		{"generic pointer", &genericPointerRecv[int8]{100}},
		{"embedded value", embedsValue{valueRecv: valueRecv{base: 100}}},
		{"pointer to embedded value", &embedsValue{valueRecv: valueRecv{base: 100}}},
		{"embedded pointer receiver", &embedsPointerRecv{pointerRecv: pointerRecv{100}}},
		{"embedded pointer, by value", embedsPointer{pointerRecv: &pointerRecv{100}}},
		{"embedded pointer, by pointer", &embedsPointer{pointerRecv: &pointerRecv{100}}},
		{"embedded interface of value", embedsInterface{adder: valueRecv{base: 100}}},
		{"embedded interface of pointer", &embedsInterface{adder: &pointerRecv{100}}},
		{"embedded generic", embedsGeneric{genericRecv: genericRecv[int8]{100}}},
		{"embedded in embedded", embedsDeeply{embedsInterface: &embedsInterface{adder: &pointerRecv{100}}}},
		{"type of a func", local{valueRecv{base: 100}}},
		{"type without a name", struct{ valueRecv }{valueRecv{base: 100}}},
		{"pointer to type without a name", &struct{ *pointerRecv }{&pointerRecv{100}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mustRegister(t, tt.rcvr, "Add")
			runtime.GC() // a box that nobody held would be gone now
			req := m.NewRequest().(*addRequest)
			req.A, req.B = 20, 3
			reply := m.NewReply()
			resp, err := m.Call(t.Context(), req, reply)
			if err != nil {
				t.Fatal(err)
			}
			if resp != reply || resp.(*addReply).Sum != 123 {
				t.Errorf("got %+v, want the reply that was passed, with Sum 123", resp)
			}
		})
	}
}

// mustRegister registers rcvr as S and returns one of its methods.
func mustRegister(t testing.TB, rcvr any, method string) *Method {
	t.Helper()
	var table Table
	if err := table.Register("S", rcvr); err != nil {
		t.Fatal(err)
	}
	m, state := table.Lookup("S", method)
	if state != Found {
		t.Fatalf("Lookup says %d for a method just registered", state)
	}
	return m
}

func TestValueReceiverIsACopy(t *testing.T) {
	original := valueRecv{base: 100}
	m := mustRegister(t, original, "Add")
	original.base = 1000
	resp, err := m.Call(t.Context(), &addRequest{}, &addReply{})
	if err != nil || resp.(*addReply).Sum != 100 || original.base != 1000 {
		t.Errorf("got %v, %v, want the value as it was at registration", resp, err)
	}
}

// stepper changes itself: for a value receiver that must not last.
type stepper struct{ n int }

func (s stepper) Step(_ context.Context, _ *addRequest, reply *int) error {
	s.n++
	*reply = s.n
	return nil
}

func TestValueReceiverForgetsItsChanges(t *testing.T) {
	m := mustRegister(t, stepper{}, "Step")
	for range 3 {
		resp, err := m.Call(t.Context(), &addRequest{}, m.NewReply())
		if err != nil || *resp.(*int) != 1 {
			t.Fatalf("got %v, %v, want 1: each call has its own copy", *resp.(*int), err)
		}
	}
}

func TestPointerReceiverSeesChanges(t *testing.T) {
	p := &pointerRecv{base: 1}
	m := mustRegister(t, p, "Add")
	p.base = 100
	resp, err := m.Call(t.Context(), &addRequest{}, &addReply{})
	if err != nil || resp.(*addReply).Sum != 100 {
		t.Errorf("got %v, %v, want the receiver as it is now", resp, err)
	}
}
