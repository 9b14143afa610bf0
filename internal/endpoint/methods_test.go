package endpoint

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestLookup(t *testing.T) {
	var table Table
	if m, state := table.Lookup("S", "Add"); m != nil || state != UnknownService {
		t.Errorf("in an empty table: got %v, %d, want UnknownService", m, state)
	}
	if err := table.Register("a.b", valueRecv{}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		service, method string
		want            LookupState
	}{
		{"a.b", "Add", Found},
		{"a.b", "add", UnknownMethod},
		{"a.b", "", UnknownMethod},
		{"a", "b.Add", UnknownService},
		{"", "Add", UnknownService},
		{"", "", UnknownService},
	}
	for _, tt := range tests {
		m, state := table.Lookup(tt.service, tt.method)
		if state != tt.want || (m != nil) != (tt.want == Found) {
			t.Errorf("Lookup(%q, %q) = %v, %d, want state %d", tt.service, tt.method, m, state, tt.want)
		}
		if m != nil && m.FullName() != "a.b.Add" {
			t.Errorf("it found %s", m.FullName())
		}
	}
}

func TestInternGivesBackRegisteredNames(t *testing.T) {
	var table Table
	if got := table.Intern([]byte("S")); got != "S" {
		t.Errorf("in an empty table: got %q", got)
	}
	if err := table.Register("S", valueRecv{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"S", "Add", "unknown", ""} {
		if got := table.Intern([]byte(name)); got != name {
			t.Errorf("Intern(%q) = %q", name, got)
		}
	}
	fresh := []byte("unknown")
	got := table.Intern(fresh)
	fresh[0] = 'X'
	if got != "unknown" {
		t.Errorf("the string changed with the bytes it came from: %q", got)
	}
	known := []byte("Add")
	if n := testing.AllocsPerRun(100, func() { got = table.Intern(known) }); n != 0 {
		t.Errorf("a registered name costs %v allocations, want none", n)
	}
}

func TestServicesAreSorted(t *testing.T) {
	var table Table
	if got := table.Services(); got != nil {
		t.Errorf("an empty table lists %v", got)
	}
	for _, err := range []error{
		table.Handle("B.Typed", NewTyped(addTyped)),
		table.Register("B", &handlers{}),
		table.Register("A", valueRecv{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := table.Services()
	if want := []string{"A", "B"}; !slices.Equal([]string{got[0].Name, got[1].Name}, want) {
		t.Errorf("services %v, want %v", got, want)
	}
	if !slices.IsSortedFunc(got[1].Methods, func(a, b MethodInfo) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("methods are not sorted: %v", got[1].Methods)
	}
	if want := (MethodInfo{"Add", "endpoint.addRequest", "endpoint.addReply"}); got[0].Methods[0] != want {
		t.Errorf("got %+v, want %+v", got[0].Methods[0], want)
	}
	if want := (MethodInfo{"Strings", "[]string", "map[string]int"}); !slices.Contains(got[1].Methods, want) {
		t.Errorf("%v lacks %+v", got[1].Methods, want)
	}
	got[0].Methods[0].Name = "changed"
	if again := table.Services(); again[0].Methods[0].Name != "Add" {
		t.Errorf("a change of the list changed the table")
	}
}

func TestRegisteringWhileServing(t *testing.T) {
	var table Table
	if err := table.Register("S", valueRecv{}); err != nil {
		t.Fatal(err)
	}
	const services = 50
	var wg sync.WaitGroup
	for r := range 2 { // both register the same names: one of the two must win
		wg.Go(func() {
			for i := range services {
				err := table.Handle(fmt.Sprintf("S%d.M", i), NewTyped(addTyped))
				if err != nil && !errors.Is(err, ErrDuplicate) {
					t.Errorf("registrar %d: %v", r, err)
				}
			}
		})
		wg.Go(func() {
			for range services {
				m, state := table.Lookup("S", "Add")
				if state != Found {
					t.Error("a registered method was lost for a while")
					return
				}
				if _, err := m.Call(t.Context(), m.NewRequest(), m.NewReply()); err != nil {
					t.Error(err)
				}
				table.Services()
				table.Intern([]byte("S1"))
			}
		})
	}
	wg.Wait()
	if got := len(table.Services()); got != services+1 {
		t.Errorf("%d services in the end, want %d", got, services+1)
	}
}

func TestTypedCall(t *testing.T) {
	var table Table
	refused := errors.New("refused")
	source := NewTyped(func(_ context.Context, req *addRequest) (*addReply, error) {
		switch req.A {
		case 0:
			return nil, nil
		case 1:
			return &addReply{}, refused
		}
		return &addReply{req.A + req.B}, nil
	})
	if err := table.Handle("a.S.Add", source); err != nil {
		t.Fatal(err)
	}
	m, _ := table.Lookup("a.S", "Add")
	t.Run("reply", func(t *testing.T) {
		req := m.NewRequest().(*addRequest)
		req.A, req.B = 20, 3
		resp, err := m.Call(t.Context(), req, nil)
		if err != nil || resp.(*addReply).Sum != 23 {
			t.Errorf("got %v, %v, want 23", resp, err)
		}
	})
	t.Run("error", func(t *testing.T) {
		if resp, err := m.Call(t.Context(), &addRequest{A: 1}, nil); resp != nil || err != refused {
			t.Errorf("got %v, %v, want no reply and the error itself", resp, err)
		}
	})
	t.Run("neither", func(t *testing.T) {
		var ne *NilReplyError
		resp, err := m.Call(t.Context(), &addRequest{}, nil)
		if resp != nil || !errors.As(err, &ne) || !strings.Contains(err.Error(), "a.S.Add returned a nil *endpoint.addReply and no error") {
			t.Errorf("got %v, %v, want a *NilReplyError that names method and type", resp, err)
		}
	})
	t.Run("other type", func(t *testing.T) {
		var te *TypeError
		if resp, err := m.Call(t.Context(), &addReply{}, nil); resp != nil || !errors.As(err, &te) {
			t.Errorf("got %v, %v, want a *TypeError", resp, err)
		}
	})
	t.Run("needs no reply", func(t *testing.T) {
		if m.NeedsReply() || !mustRegister(t, valueRecv{}, "Add").NeedsReply() {
			t.Error("a struct's method needs a reply to fill, a typed func does not")
		}
	})
	t.Run("makes its types", func(t *testing.T) {
		req, resp := m.Types()
		if req != reflect.TypeFor[addRequest]() || resp != reflect.TypeFor[addReply]() {
			t.Errorf("types %s, %s", req, resp)
		}
		if _, ok := m.NewReply().(*addReply); !ok {
			t.Errorf("NewReply makes a %T", m.NewReply())
		}
	})
	t.Run("source unchanged", func(t *testing.T) {
		if source.Service != "" || source.Name != "" {
			t.Errorf("registering named the Method that was passed: %s", source.FullName())
		}
	})
}
