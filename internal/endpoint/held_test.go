package endpoint

import (
	"context"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
)

func TestHeldReplies(t *testing.T) {
	s := pair(t, "mem")
	c := &Caller{MaxElements: 10}
	ctx := context.Background()
	var held Held
	held.Release() // nothing is held
	for id := range int64(2) {
		if err := c.Call(ctx, s, "Echo", "Echo", &echoMsg{ID: id}, &held, nil); err != nil {
			t.Fatal(err)
		}
	}
	var res echoMsg
	if _, err := held.Decode(&res); err != nil || res.ID != 1 {
		t.Errorf("%+v, %v: want the reply of the second call", res, err)
	}
	if err := c.Call(ctx, s, "Echo", "Nothing", &echoMsg{}, &held, nil); protocol.CodeOf(err) != protocol.Unimplemented {
		t.Errorf("a failure is held: %v", err)
	}
	held.Release()

	// What cannot be read leaves no half of it.
	if err := c.Call(ctx, s, "Echo", "Echo", &echoMsg{ID: 7}, &held, nil); err != nil {
		t.Fatal(err)
	}
	wrong := struct{ ID string }{"before"}
	if _, err := held.Decode(&wrong); protocol.CodeOf(err) != protocol.Internal || protocol.OutcomeOf(err) != protocol.Ran || wrong.ID != "" {
		t.Errorf("%v, %q", err, wrong.ID)
	}
	// Nobody needs to read it.
	if err := c.Call(ctx, s, "Echo", "Echo", &echoMsg{}, &held, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Decode(nil); err != nil {
		t.Error(err)
	}
}
