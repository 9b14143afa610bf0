package endpoint

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
)

func addTyped(_ context.Context, req *addRequest) (*addReply, error) {
	return &addReply{req.A + req.B}, nil
}

func TestHandleRefuses(t *testing.T) {
	tests := []struct {
		name, full string
		m          *Method
		want       error
	}{
		{"no method", "S.M", nil, ErrNilHandler},
		{"zero method", "S.M", &Method{}, ErrNilHandler},
		{"nil func", "S.M", NewTyped[addRequest, addReply](nil), ErrNilHandler},
		{"no dot", "M", NewTyped(addTyped), ErrBadName},
		{"no service", ".M", NewTyped(addTyped), ErrBadName},
		{"no name", "S.", NewTyped(addTyped), ErrBadName},
		{"nothing", "", NewTyped(addTyped), ErrBadName},
		{"service beyond the grammar", "a b.M", NewTyped(addTyped), ErrBadName},
		{"method beyond the grammar", "S.a b", NewTyped(addTyped), ErrBadName},
		{"method too long", "S." + strings.Repeat("m", 256), NewTyped(addTyped), ErrBadName},
		{"framework's", "sinew.M", NewTyped(addTyped), ErrReserved},
		{"below the framework's", "sinew.health.M", NewTyped(addTyped), ErrReserved},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var table Table
			err := table.Handle(tt.full, tt.m)
			var re *RegisterError
			if !errors.As(err, &re) || re.Name != tt.full || !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want a *RegisterError for %q", err, tt.want)
			}
			if got := table.Services(); len(got) != 0 {
				t.Errorf("it registered %v all the same", got)
			}
		})
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
		if resp != nil || !errors.As(err, &ne) || protocol.CodeOf(err) != protocol.Internal || !strings.Contains(err.Error(), "a.S.Add returned a nil *endpoint.addReply and no error") {
			t.Errorf("got %v, %v, want an Internal *NilReplyError that names method and type", resp, err)
		}
	})
	t.Run("other type", func(t *testing.T) {
		var te *TypeError
		if resp, err := m.Call(t.Context(), &addReply{}, nil); resp != nil || !errors.As(err, &te) || protocol.CodeOf(err) != protocol.Internal {
			t.Errorf("got %v, %v, want an Internal *TypeError", resp, err)
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
