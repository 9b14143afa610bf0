package endpoint

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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

// handlers serves what the tests below need beyond adding.
type handlers struct{ calls atomic.Int64 }

type namedPointer *addRequest

var errRefused = errors.New("refused")

func (h *handlers) Fail(context.Context, *addRequest, *addReply) error { return errRefused }
func (h *handlers) Panic(context.Context, *addRequest, *addReply) error {
	panic("handler's own")
}

func (h *handlers) Count(context.Context, *addRequest, *addReply) error {
	h.calls.Add(1)
	return nil
}

func (h *handlers) Strings(_ context.Context, req *[]string, reply *map[string]int) error {
	*reply = map[string]int{}
	for _, s := range *req {
		(*reply)[s]++
	}
	return nil
}

func (h *handlers) Upper(_ context.Context, req, reply *string) error {
	*reply = strings.ToUpper(*req)
	return nil
}

func (h *handlers) Any(_ context.Context, req, reply *any) error {
	*reply = *req
	return nil
}

func (h *handlers) Named(_ context.Context, req namedPointer, reply *addReply) error {
	reply.Sum = req.A + req.B
	return nil
}

func (h *handlers) HasContext(ctx context.Context, _ *addRequest, reply *bool) error {
	*reply = ctx != nil
	return nil
}

// Churn moves its stack and collects garbage while it holds its arguments.
func (h *handlers) Churn(ctx context.Context, req *[]byte, reply *[]byte) error {
	*reply = append((*reply)[:0], *req...)
	if grow(2000) != 2000 {
		return errors.New("stack was not kept")
	}
	runtime.GC()
	*reply = append(*reply, *req...)
	return ctx.Err()
}

func grow(n int) int {
	var frame [64]byte
	if n == 0 {
		return int(frame[n])
	}
	return 1 + grow(n-1)
}

func TestCallTakesAnyTypes(t *testing.T) {
	var h handlers
	tests := []struct {
		method    string
		req, want any
	}{
		{"Strings", &[]string{"a", "b", "a"}, &map[string]int{"a": 2, "b": 1}},
		{"Upper", ptr("abc"), ptr("ABC")},
		{"Any", ptr[any](7), ptr[any](7)},
		{"Named", &addRequest{1, 2}, &addReply{3}},
		{"HasContext", &addRequest{}, ptr(true)},
	}
	for _, tt := range tests {
		t.Run(tt.method, func(t *testing.T) {
			m := mustRegister(t, &h, tt.method)
			if got := reflect.TypeOf(m.NewRequest()); got != reflect.TypeOf(tt.req) {
				t.Errorf("NewRequest makes a %s, want %T", got, tt.req)
			}
			resp, err := m.Call(t.Context(), tt.req, m.NewReply())
			if err != nil || !reflect.DeepEqual(resp, tt.want) {
				t.Errorf("got %v, %v, want %v", resp, err, tt.want)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestCallWithoutContext(t *testing.T) {
	m := mustRegister(t, &handlers{}, "HasContext")
	var none context.Context
	resp, err := m.Call(none, &addRequest{}, m.NewReply())
	if err != nil || *resp.(*bool) {
		t.Errorf("got %v, %v, want the nil context to arrive as nil", resp, err)
	}
}

func TestCallReturnsTheHandlersError(t *testing.T) {
	m := mustRegister(t, &handlers{}, "Fail")
	resp, err := m.Call(t.Context(), &addRequest{}, &addReply{})
	if resp != nil || err != errRefused {
		t.Errorf("got %v, %v, want no reply and the error itself", resp, err)
	}
}

func TestCallLetsAPanicThrough(t *testing.T) {
	m := mustRegister(t, &handlers{}, "Panic")
	defer func() {
		if got := recover(); got != "handler's own" {
			t.Errorf("recovered %v, want the handler's own panic", got)
		}
	}()
	_, err := m.Call(t.Context(), &addRequest{}, &addReply{})
	t.Errorf("Call returned %v, want a panic", err)
}

func TestCallRefusesOtherTypes(t *testing.T) {
	m := mustRegister(t, valueRecv{}, "Add")
	type look struct{ A, B int } // laid out as addRequest, but another type
	tests := []struct {
		name       string
		req, reply any
	}{
		{"request of another type", &look{}, &addReply{}},
		{"reply of another type", &addRequest{}, &addRequest{}},
		{"request by value", addRequest{}, &addReply{}},
		{"no request", nil, &addReply{}},
		{"no reply", &addRequest{}, nil},
		{"neither", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var te *TypeError
			resp, err := m.Call(t.Context(), tt.req, tt.reply)
			if resp != nil || !errors.As(err, &te) || te.Method != "S.Add" {
				t.Errorf("got %v, %v, want a *TypeError that names S.Add", resp, err)
			}
		})
	}
	t.Run("zero method", func(t *testing.T) {
		var te *TypeError
		if _, err := new(Method).Call(t.Context(), nil, nil); !errors.As(err, &te) {
			t.Errorf("got %v, want a *TypeError", err)
		}
	})
}

func TestNewInvokerRefusesWhatItCannotCast(t *testing.T) {
	value := valueRecv{base: 1}
	byValue, _ := reflect.TypeFor[valueRecv]().MethodByName("Add")
	byPointer, _ := reflect.TypeFor[*valueRecv]().MethodByName("Add")
	tests := []struct {
		name     string
		fn, recv reflect.Value
	}{
		{"a value type's own method", byValue.Func, reflect.ValueOf(value)},
		{"a value type's own method with a pointer", byValue.Func, reflect.ValueOf(&value)},
		{"a receiver of another type", byPointer.Func, reflect.ValueOf(&pointerRecv{})},
		{"a func of another form", reflect.ValueOf(func(*valueRecv) {}), reflect.ValueOf(&value)},
		{"a func without arguments", reflect.ValueOf(func() {}), reflect.ValueOf(&value)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if v, err := newInvoker(tt.fn, tt.recv); err == nil || v.ready() {
				t.Errorf("it was taken")
			}
		})
	}
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

func TestCallsShareAPointerReceiver(t *testing.T) {
	var h handlers
	m := mustRegister(t, &h, "Count")
	const callers, calls = 8, 200
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				if _, err := m.Call(t.Context(), m.NewRequest(), m.NewReply()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := h.calls.Load(); got != callers*calls {
		t.Errorf("the receiver counted %d calls, want %d", got, callers*calls)
	}
}

func TestArgumentsSurviveCollectionAndStackMoves(t *testing.T) {
	m := mustRegister(t, &handlers{}, "Churn")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { // a small stack of its own, which must grow in the call
			body := make([]byte, 1000)
			for j := range body {
				body[j] = byte(i)
			}
			resp, err := m.Call(t.Context(), &body, new([]byte))
			if err != nil {
				t.Error(err)
				return
			}
			got := *resp.(*[]byte)
			if want := strings.Repeat(string(body), 2); string(got) != want {
				t.Errorf("reply differs: %d bytes, want %d", len(got), len(want))
			}
		})
	}
	wg.Wait()
}

func TestNilEmbeddedPanicsInTheCallAlone(t *testing.T) {
	m := mustRegister(t, embedsInterface{}, "Add")
	defer func() {
		if recover() == nil {
			t.Error("the call of a method of a nil interface did not panic")
		}
	}()
	_, err := m.Call(t.Context(), &addRequest{}, &addReply{})
	t.Errorf("Call returned %v, want a panic", err)
}
