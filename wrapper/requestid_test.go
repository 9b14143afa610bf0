package wrapper_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/wrapper"
)

const requestID = "sinew-request-id"

func TestRequestIDOfACall(t *testing.T) {
	c := pair(t, nil, []client.Wrapper{&wrapper.RequestID{}})
	first, err := call(c, t.Context(), "Meta", requestID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := uuid.Parse(first); err != nil {
		t.Errorf("%q travelled: %v", first, err)
	}
	if second, _ := call(c, t.Context(), "Meta", requestID); second == first {
		t.Errorf("two calls have the id %q", first)
	}
	chosen := client.With(t.Context(), client.RequestID("chosen"))
	if id, _ := call(c, chosen, "Meta", requestID); id != "chosen" {
		t.Errorf("%q travelled, and the caller chose another", id)
	}
}

// The id of a request goes on to the calls of its handler through this wrapper,
// and not without it.
func TestRequestIDGoesOn(t *testing.T) {
	inHandler := protocol.WithIncomingMeta(t.Context(), map[string]string{requestID: "r-7"})
	if id, _ := call(pair(t, nil, []client.Wrapper{&wrapper.RequestID{}}), inHandler, "Meta", requestID); id != "r-7" {
		t.Errorf("%q travelled", id)
	}
	if id, _ := call(pair(t, nil, nil), inHandler, "Meta", requestID); id != "" {
		t.Errorf("%q travelled without the wrapper", id)
	}
}

func TestRequestIDOfARequestWithout(t *testing.T) {
	ids := &wrapper.RequestID{New: func() string { return "made-here" }}
	c := pair(t, []server.Wrapper{ids}, nil)
	for name, ctx := range map[string]context.Context{
		"brings none":            t.Context(),
		"brings a line of a log": client.With(t.Context(), client.RequestID("x I1125 all is well")),
		"brings a book":          client.With(t.Context(), client.RequestID(strings.Repeat("x", 129))),
	} {
		if id, err := call(c, ctx, "Meta", requestID); id != "made-here" {
			t.Errorf("a request that %s is served as %q, %v", name, id, err)
		}
	}
	ctx := client.With(t.Context(), client.RequestID("from-there"))
	if id, err := call(c, ctx, "Meta", requestID); id != "from-there" {
		t.Errorf("a request that brings an id is served as %q, %v", id, err)
	}
}

func TestRequestIDIsLogged(t *testing.T) {
	out := collect(t, slog.LevelDebug-1) // V(2)
	c := pair(t,
		[]server.Wrapper{&wrapper.RequestID{}, &wrapper.Log{}},
		[]client.Wrapper{&wrapper.RequestID{New: func() string { return "r-9" }}, &wrapper.Log{}})
	if _, err := call(c, t.Context(), "Meta", "x"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[r-9] call Words.Meta: OK", "[r-9] serve Words.Meta: OK"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}
