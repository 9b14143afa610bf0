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
