package endpoint

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
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
	if !slices.IsSortedFunc(got[1].Methods, func(a, b protocol.MethodInfo) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("methods are not sorted: %v", got[1].Methods)
	}
	if want := (protocol.MethodInfo{
		Name:           "Add",
		Request:        "endpoint.addRequest",
		Response:       "endpoint.addReply",
		RequestSchema:  `{"title":"endpoint.addRequest","type":"object","properties":{"A":{"type":"integer"},"B":{"type":"integer"}}}`,
		ResponseSchema: `{"title":"endpoint.addReply","type":"object","properties":{"Sum":{"type":"integer"}}}`,
	}); got[0].Methods[0] != want {
		t.Errorf("got %+v, want %+v", got[0].Methods[0], want)
	}
	if want := (protocol.MethodInfo{
		Name:           "Strings",
		Request:        "[]string",
		Response:       "map[string]int",
		RequestSchema:  `{"type":"array","items":{"type":"string"}}`,
		ResponseSchema: `{"type":"object","additionalProperties":{"type":"integer"}}`,
	}); !slices.Contains(got[1].Methods, want) {
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
