package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// crooked has every mistake there is in a method.
type crooked struct{}

func (crooked) NoContext(*addRequest, *addReply) error                         { return nil }
func (crooked) ContextLast(*addRequest, *addReply, context.Context) error      { return nil }
func (crooked) RequestByValue(context.Context, addRequest, *addReply) error    { return nil }
func (crooked) ReplyByValue(context.Context, *addRequest, addReply) error      { return nil }
func (crooked) NoError(context.Context, *addRequest, *addReply)                {}
func (crooked) OtherResult(context.Context, *addRequest, *addReply) *TypeError { return nil }
func (crooked) Typed(context.Context, *addRequest) (*addReply, error)          { return nil, nil }
func (crooked) Variadic(context.Context, *addRequest, ...*addReply) error      { return nil }
func (crooked) hidden(context.Context, *addRequest, *addReply) error           { return nil }
func (crooked) TwoResults(context.Context, *addRequest, *addReply) (*addReply, error) {
	return nil, nil
}
func (crooked) FourArguments(context.Context, *addRequest, *addReply, *addReply) error   { return nil }
func (crooked) OtherContext(interface{ Done() }, *addRequest, *addReply) error           { return nil }
func (crooked) ReplyAsInterface(context.Context, *addRequest, interface{ Name() }) error { return nil }

func TestRegisterSaysWhatIsWrongWithEachMethod(t *testing.T) {
	_ = crooked.hidden // no candidate: it is not exported
	err := new(Table).Register("Crooked", crooked{})
	var re *RegisterError
	if !errors.As(err, &re) || !errors.Is(err, ErrNoHandler) {
		t.Fatalf("got %v, want a *RegisterError for ErrNoHandler", err)
	}
	want := []Candidate{
		{"ContextLast", "first argument is *endpoint.addRequest, want context.Context"},
		{"FourArguments", "takes 4 arguments, want 3: context.Context, *Req, *Resp"},
		{"NoContext", "takes 2 arguments, want 3: context.Context, *Req, *Resp"},
		{"NoError", "returns 0 values, want one error"},
		{"OtherContext", "first argument is interface { Done() }, want context.Context"},
		{"OtherResult", "returns *endpoint.TypeError, want error"},
		{"ReplyAsInterface", "reply is interface { Name() }, want a pointer"},
		{"ReplyByValue", "reply is endpoint.addReply, want a pointer"},
		{"RequestByValue", "request is endpoint.addRequest, want a pointer"},
		{"TwoResults", "returns 2 values, want one error"},
		{"Typed", "returns its reply: register it with Handle, or take a *Resp as third argument and return error alone"},
		{"Variadic", "is variadic"},
	}
	if !slices.Equal(re.Candidates, want) {
		t.Errorf("candidates\n%v\nwant\n%v", re.Candidates, want)
	}
	for _, c := range want {
		if text := "; " + c.Method + " " + c.Problem; !strings.Contains(err.Error(), text) {
			t.Errorf("the message %q lacks %q", err, text)
		}
	}
}

// mixed has a handler with each kind of receiver, and a method that is none.
type mixed struct{}

func (mixed) Value(context.Context, *addRequest, *addReply) error    { return nil }
func (*mixed) Pointer(context.Context, *addRequest, *addReply) error { return nil }
func (mixed) String() string                                         { return "mixed" }

type lower struct{ valueRecv }

// Ärger has a name that Go exports but no other language could spell.
type Ärger struct{ valueRecv }

// Arith can be registered without a name.
type Arith struct{ valueRecv }

func TestRegisterRefuses(t *testing.T) {
	long := strings.Repeat("a", 256)
	tests := []struct {
		name    string
		service string
		rcvr    any
		want    error
		says    string
	}{
		{"nil", "S", nil, ErrNilReceiver, "<nil>"},
		{"nil pointer", "S", (*pointerRecv)(nil), ErrNilReceiver, "*endpoint.pointerRecv"},
		{"nil pointer without a name", "", (*pointerRecv)(nil), ErrNilReceiver, "*endpoint.pointerRecv"},
		{"no methods", "S", 7, ErrNoHandler, "int"},
		{"pointer to pointer", "S", ptr(&pointerRecv{}), ErrNoHandler, "**endpoint.pointerRecv"},
		{"pointer to interface", "S", ptr[adder](valueRecv{}), ErrNoHandler, "*endpoint.adder"},
		{"value that lacks pointer handlers", "S", mixed{}, ErrByValue, "Pointer has a pointer receiver"},
		{"value with pointer handlers alone", "S", pointerRecv{}, ErrByValue, "Add has a pointer receiver"},
		{"unexported type without a name", "", lower{}, ErrBadName, "register it under a name"},
		{"type without a name, nor one given", "", struct{ valueRecv }{}, ErrBadName, "register it under a name"},
		{"generic type without a name", "", &Generic[int]{}, ErrBadName, "Generic[int]"},
		{"type name beyond the grammar", "", Ärger{}, ErrBadName, "Ärger"},
		{"empty part of the framework", "sinew.", valueRecv{}, ErrReserved, "sinew."},
		{"service of the framework", "sinew.health", valueRecv{}, ErrReserved, "sinew.health"},
		{"the framework itself", "sinew", valueRecv{}, ErrReserved, "sinew"},
		{"digit first", "1S", valueRecv{}, ErrBadName, "1S"},
		{"slash", "a/b", valueRecv{}, ErrBadName, "a/b"},
		{"too long", long, valueRecv{}, ErrBadName, "255"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var table Table
			err := table.Register(tt.service, tt.rcvr)
			var re *RegisterError
			if !errors.As(err, &re) || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got %v, want a *RegisterError for %q that says %q", err, tt.want, tt.says)
			}
			if got := table.Services(); len(got) != 0 {
				t.Errorf("it registered %v all the same", got)
			}
		})
	}
}

// Generic has a type argument in its name, which no service name may have.
type Generic[T int | int8] struct{ genericRecv[T] }

func TestRegisterTakes(t *testing.T) {
	tests := []struct {
		name, service string
		rcvr          any
		want          []string // full names
	}{
		{"the type's name", "", Arith{}, []string{"Arith.Add"}},
		{"the type's name behind a pointer", "", &Arith{}, []string{"Arith.Add"}},
		{"an unexported type under a name", "Lower", lower{}, []string{"Lower.Add"}},
		{"a name with dots and hyphens", "com.example.arith-v2._x", Arith{}, []string{"com.example.arith-v2._x.Add"}},
		{"a generic type under a name", "Generic", &Generic[int]{}, []string{"Generic.Add"}},
		{"handlers of both receivers, other methods passed over", "Mixed", &mixed{}, []string{"Mixed.Pointer", "Mixed.Value"}},
		{"255 bytes", strings.Repeat("a", 255), Arith{}, []string{strings.Repeat("a", 255) + ".Add"}},
		{"a name that only looks like the framework's", "sinews.x", Arith{}, []string{"sinews.x.Add"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var table Table
			if err := table.Register(tt.service, tt.rcvr); err != nil {
				t.Fatal(err)
			}
			if got := fullNames(&table); !slices.Equal(got, tt.want) {
				t.Errorf("registered %v, want %v", got, tt.want)
			}
		})
	}
}

func fullNames(t *Table) (names []string) {
	for _, s := range t.Services() {
		for _, m := range s.Methods {
			names = append(names, s.Name+"."+m.Name)
		}
	}
	return names
}

func TestInternalNamesAreTheFrameworksAlone(t *testing.T) {
	var table Table
	if err := table.RegisterInternal("sinew.health", valueRecv{}); err != nil {
		t.Error(err)
	}
	if err := table.HandleInternal("sinew.health.Check", NewTyped(addTyped)); err != nil {
		t.Error(err)
	}
	if err := table.RegisterInternal("sinew health", valueRecv{}); !errors.Is(err, ErrBadName) {
		t.Errorf("got %v, want the grammar to hold for internal names too", err)
	}
	want := []string{"sinew.health.Add", "sinew.health.Check"}
	if got := fullNames(&table); !slices.Equal(got, want) {
		t.Errorf("registered %v, want %v", got, want)
	}
}

func TestANameIsRegisteredOnce(t *testing.T) {
	receiver := func(name string) func(*Table) error {
		return func(t *Table) error { return t.Register(name, valueRecv{}) }
	}
	typed := func(name string) func(*Table) error {
		return func(t *Table) error { return t.Handle(name, NewTyped(addTyped)) }
	}
	tests := []struct {
		name          string
		first, second func(*Table) error
		dup           bool
	}{
		{"two receivers", receiver("S"), receiver("S"), true},
		{"two funcs", typed("S.M"), typed("S.M"), true},
		{"a func over a receiver's method", receiver("S"), typed("S.Add"), true},
		{"a receiver's method over a func", typed("S.Add"), receiver("S"), true},
		{"a func beside a receiver's methods", receiver("S"), typed("S.M"), false},
		{"a receiver's methods beside a func", typed("S.M"), receiver("S"), false},
		{"two funcs of a service", typed("S.M"), typed("S.N"), false},
		{"names that differ in case", receiver("S"), receiver("s"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var table Table
			if err := tt.first(&table); err != nil {
				t.Fatal(err)
			}
			before := fullNames(&table)
			err := tt.second(&table)
			if errors.Is(err, ErrDuplicate) != tt.dup || err != nil && !tt.dup {
				t.Fatalf("got %v, want duplicate: %t", err, tt.dup)
			}
			if after := fullNames(&table); tt.dup != slices.Equal(before, after) {
				t.Errorf("registered %v after %v", after, before)
			}
		})
	}
}

func ExampleRegisterError() {
	var table Table
	err := table.Register("Arith", pointerRecv{})
	fmt.Println(err)
	// Output:
	// sinew: cannot register Arith (endpoint.pointerRecv): registered by value, which would leave out handlers; Add has a pointer receiver: register a pointer
}
