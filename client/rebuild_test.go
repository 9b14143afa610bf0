package client_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/selector"
	"github.com/sinew-rpc/sinew/transport"
)

// slowUpdate is a policy that works for 5 ms to take a list in.
type slowUpdate struct {
	selector.Selector
	updates *atomic.Int32
}

func (s slowUpdate) New() selector.Selector { return s }

func (s slowUpdate) Update([]*selector.Node) {
	s.updates.Add(1)
	for begun := time.Now(); time.Since(begun) < 5*time.Millisecond; {
	}
}

// A breaker that opens and closes all the time has a view made no more often than
// is sensible: in real time, since that is what the rests are measured by.
func TestViewsAreMadeWithRests(t *testing.T) {
	n := transport.NewMemNetwork()
	r := memory.NewRegistry("")
	p := listenMem(t, n, "a")
	p.handle("Echo.Sick", func(context.Context, *text) (*text, error) {
		return nil, protocol.NewError(protocol.Unavailable, "no database")
	})
	list(t, r, "a", nil)
	var updates atomic.Int32
	c := newSG(t, n, r, func(op *client.SGOption) {
		op.CircuitBreakerThreshold, op.CircuitBreakerWindow = 1, time.Millisecond
		op.Selector = slowUpdate{selector.NewRandomSelector(), &updates}
	})
	say(t, c)
	before, begun := updates.Load(), time.Now()
	for time.Since(begun) < 300*time.Millisecond {
		if err := c.Call(context.Background(), "Echo.Sick", &text{}, nil); err == nil {
			t.Fatal("a call went well")
		}
	}
	made := updates.Load() - before
	if most := int32(time.Since(begun)/(50*time.Millisecond)) + 2; made < 1 || made > most {
		t.Errorf("%d views in %v, want 1 to %d", made, time.Since(begun), most)
	}
}
