package endpoint

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestCheckTypeIsAskedAboutEveryType(t *testing.T) {
	var asked []reflect.Type
	table := Table{CheckType: func(t reflect.Type) error {
		asked = append(asked, t)
		return nil
	}}
	if err := table.Register("S", valueRecv{}); err != nil {
		t.Fatal(err)
	}
	if err := table.Handle("S.Upper", NewTyped(func(context.Context, *string) (*[]byte, error) { return nil, nil })); err != nil {
		t.Fatal(err)
	}
	want := []reflect.Type{
		reflect.TypeFor[addRequest](), reflect.TypeFor[addReply](),
		reflect.TypeFor[string](), reflect.TypeFor[[]byte](),
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked about %v, want %v", asked, want)
	}
}

func TestCheckTypeRefuses(t *testing.T) {
	cause := errors.New("its tags differ")
	table := Table{CheckType: func(t reflect.Type) error {
		if t == reflect.TypeFor[addReply]() {
			return cause
		}
		return nil
	}}
	register := map[string]error{
		"receiver": table.Register("S", valueRecv{}),
		"func":     table.Handle("S.M", NewTyped(addTyped)),
	}
	for name, err := range register {
		var re *RegisterError
		if !errors.As(err, &re) || !errors.Is(err, cause) || !strings.Contains(err.Error(), "endpoint.addReply") {
			t.Errorf("%s: got %v, want a *RegisterError with the cause and the type", name, err)
		}
	}
	if got := fullNames(&table); len(got) != 0 {
		t.Errorf("it registered %v all the same", got)
	}
}
