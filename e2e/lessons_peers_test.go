package e2e

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/selector"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Each test here is named by a defect that stands in another framework.

// A reply that does not fit its type ends its call; those that share the
// connection do not notice.
func TestUndecodableReplyFailsOnlyItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := memPair(t, server.Option{}, client.Option{})
		done := make(chan *client.Call, 100)
		for range cap(done) {
			c.Go(t.Context(), "Echo.Sleep", &echo.Body{ID: 500}, new(echo.Body), done)
		}
		for range 10 {
			var wrong struct{ ID []string }
			err := c.Call(t.Context(), "Echo.Say", &echo.Body{ID: 7}, &wrong)
			wantError(t, err, protocol.Internal, protocol.Ran)
			if wrong.ID != nil {
				t.Errorf("half a reply was left: %v", wrong)
			}
		}
		for range cap(done) {
			if call := <-done; call.Error != nil {
				t.Error(call.Error)
			}
		}
	})
}

// lingering takes its time to be decoded.
type lingering struct{ took chan struct{} }

func (lingering) MarshalBinary() ([]byte, error) { return []byte("x"), nil }

func (l lingering) UnmarshalBinary([]byte) error {
	<-l.took
	return nil
}

// A reply that is slow to decode holds up its own caller alone.
func TestSlowDecodingDelaysOnlyItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := memPair(t, server.Option{}, client.Option{})
		err := server.Handle(s, "Slow.Get", func(context.Context, *echo.Body) (*lingering, error) { return new(lingering), nil })
		if err != nil {
			t.Fatal(err)
		}
		slow := c.Go(t.Context(), "Slow.Get", new(echo.Body), &lingering{took: make(chan struct{})}, nil)
		synctest.Wait() // its reply is being decoded
		begun := time.Now()
		for range 100 {
			say(t, c)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("others took %v", took)
		}
		close(slow.Reply.(*lingering).took)
		if <-slow.Done; slow.Error != nil {
			t.Error(slow.Error)
		}
	})
}

// A context that has ended already costs nobody else a call, the first on a
// connection least of all.
func TestContextAlreadyDoneFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := memPair(t, server.Option{}, client.Option{})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		first := c.Go(t.Context(), "Echo.Sleep", &echo.Body{ID: 100}, new(echo.Body), nil)
		for range 100 {
			wantError(t, c.Call(ended, "Echo.Say", new(echo.Body), nil), protocol.Canceled, protocol.NotSent)
			wantError(t, c.Notify(ended, "Echo.Note", &echo.Body{ID: 9}), protocol.Canceled, protocol.NotSent)
		}
		if <-first.Done; first.Error != nil {
			t.Errorf("the first call: %v", first.Error)
		}
		res, err := client.Invoke[echo.Body](t.Context(), c, "Echo.Count", &echo.Body{ID: 9})
		if err != nil || res.ID != 0 {
			t.Errorf("what was NotSent ran %v times, %v", res, err)
		}
	})
}

// A reply that comes after its call has ended touches nothing of the caller's,
// who may use reply and request for something else by then.
func TestLateReplyTouchesNothing(t *testing.T) {
	_, c := memPair(t, server.Option{}, client.Option{})
	res := new(echo.Body)
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%5)*time.Millisecond)
		req := &echo.Body{ID: 3, Data: []byte("late")}
		err := c.Call(ctx, "Echo.Sleep", req, res)
		cancel()
		if err != nil && (res.ID != 0 || res.Data != nil) {
			t.Errorf("%v, and the reply holds %+v", err, res)
		}
		*res, *req = echo.Body{}, echo.Body{ID: 99} // the race detector looks at this
	}
	say(t, c)
}

// fickle picks as it is told.
type fickle struct{ mood *string }

func (f fickle) Pick(_ context.Context, _ selector.PickInfo, nodes []*selector.Node) *selector.Node {
	switch *f.mood {
	case "panic":
		panic("on purpose")
	case "nobody":
		return nil
	}
	return nodes[0]
}

func (f fickle) New() selector.Selector { return f }

// A selector that panics, or finds nobody, costs the call that asked it.
func TestBrokenSelectorLocksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		serve(t, newServer(t, server.Option{Mem: n}, new(echo.Echo)), "mem", "a")
		r := memory.NewRegistry("")
		if err := r.Register(t.Context(), registry.RegisterOption{}, registry.Provider{Network: "mem", Addr: "a"}); err != nil {
			t.Fatal(err)
		}
		var mood string
		c := governed(t, r, client.SGOption{Option: client.Option{Mem: n}, Selector: fickle{&mood}})
		say(t, c)
		for range 3 {
			mood = "panic"
			call := <-c.Go(t.Context(), "Echo.Say", new(echo.Body), nil, nil).Done
			if protocol.CodeOf(call.Error) != protocol.Internal {
				t.Errorf("a selector that panics: %v", call.Error)
			}
			mood = "nobody"
			wantError(t, c.Call(t.Context(), "Echo.Say", new(echo.Body), nil), protocol.Unavailable, protocol.NotSent)
			mood = ""
			say(t, c)
		}
	})
}
