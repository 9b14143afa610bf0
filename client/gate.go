package client

import (
	"context"
	"fmt"
	"sync/atomic"
)

// gate counts the calls that are under way, wherever they are: in a wrapper, between
// two attempts, or on their way to a connection. Once it is shut it lets no further
// one in, and Shutdown waits at it for those inside. All methods may run concurrently.
type gate struct {
	inside [stripes]inside
	shut   atomic.Bool
	left   chan struct{} // holds a token when a call has left since it was shut
}

// inside is how many calls came in by one stripe and have not left, on a cache line
// of its own.
type inside struct {
	calls atomic.Int64
	_     [120]byte
}

// enter lets a call in, which leaves what it returns; nil where the gate is shut.
func (g *gate) enter() *inside {
	in := &g.inside[anyStripe()]
	in.calls.Add(1)
	if g.shut.Load() { // looked at last: whoever shuts it afterwards counts this call
		g.leave(in)
		return nil
	}
	return in
}

func (g *gate) leave(in *inside) {
	if in == nil {
		return
	}
	in.calls.Add(-1)
	if g.shut.Load() {
		g.tell()
	}
}

func (g *gate) tell() {
	select {
	case g.left <- struct{}{}:
	default:
	}
}

// close shuts the gate and waits until everybody has left. It returns ctx's error
// when that ends first.
func (g *gate) close(ctx context.Context) error {
	g.shut.Store(true)
	for {
		n := g.count()
		if n == 0 {
			g.tell() // who else waits
			return nil
		}
		select {
		case <-g.left:
		case <-ctx.Done():
			return fmt.Errorf("client: %s cut: %w", count(int(n), "call"), ctx.Err())
		}
	}
}

// count is exact once the gate is shut, but for those who come and find it so: no
// stripe grows any more.
func (g *gate) count() (n int64) {
	for i := range g.inside {
		n += g.inside[i].calls.Load()
	}
	return n
}

type turnedAwayKey struct{}

// turnedAway returns the context of a call that found the gate shut. It goes through
// the wrappers as all do, who may count calls that fail, and fails at their end.
func turnedAway(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnedAwayKey{}, true)
}

// refusal is the error of a call that was turned away, nil for all others.
func (g *gate) refusal(ctx context.Context) error {
	if !g.shut.Load() || ctx.Value(turnedAwayKey{}) == nil {
		return nil
	}
	return tooLate()
}
