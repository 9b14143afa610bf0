package selector

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
)

// NewRoundRobinSelector returns the policy that takes one node after the other,
// whatever their weights. It begins somewhere, so that clients which start
// together do not all begin with the same provider. All methods are counted
// together.
func NewRoundRobinSelector() Selector { return newRoundRobin() }

type roundRobin struct{ turn turn }

var _ Blind = (*roundRobin)(nil)

func newRoundRobin() *roundRobin {
	r := new(roundRobin)
	r.turn.begin()
	return r
}

// Pick implements Selector.
func (r *roundRobin) Pick(_ context.Context, _ PickInfo, nodes []*Node) *Node {
	if len(nodes) == 0 {
		return nil
	}
	var n *Node
	for range coldTries {
		if n = nodes[r.turn.next(len(nodes))]; n.takes() {
			break
		}
	}
	return n
}

// New implements Selector.
func (*roundRobin) New() Selector { return newRoundRobin() }

// Blind implements Blind.
func (*roundRobin) Blind() {}

// turn counts round and round. It may be used concurrently.
type turn struct{ count atomic.Uint64 }

// begin begins anywhere.
func (t *turn) begin() { t.count.Store(rand.Uint64() >> 1) }

// next returns whose turn it is among n.
func (t *turn) next(n int) int { return int(t.count.Add(1) % uint64(n)) }
