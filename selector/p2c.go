package selector

import (
	"context"
	"math"
	"time"
)

// NewP2CSelector returns the policy of the least loaded of two: it draws two
// nodes by weight and takes the one where a call is expected to wait less, which
// is its average latency times the calls in flight there for its weight, and
// this one. Two choices are nearly as good as knowing all (M. Mitzenmacher, "The
// Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12, 2001), and
// clients that do not know of each other do not all run to the same node. The
// cost is that of Finagle's peak EWMA balancer, with Node.Latency as average.
//
// A node that failed since it last succeeded counts as twice as slow for each
// failure in a row, up to 1,024 times; that is forgotten as latency is, within 3
// to 40 seconds, so that it is tried again. So one that fails fast does not look like one that is fast.
// A node that has not answered yet counts as being as slow as the other.
func NewP2CSelector() Selector { return new(p2c) }

type p2c struct{ draw draw }

var _ Updater = (*p2c)(nil)

// secondTries is how often a second, different node is drawn for. Where one
// outweighs all others it may well be drawn every time, and is taken then.
const secondTries = 3

// maxDoublings is how many failures in a row make a node look slower and slower.
const maxDoublings = 10

// Pick implements Selector.
func (s *p2c) Pick(_ context.Context, _ PickInfo, nodes []*Node) *Node {
	first := s.draw.pick(nodes)
	if len(nodes) < 2 {
		return first
	}
	for range secondTries {
		if second := s.draw.pick(nodes); second != first {
			return lessLoaded(first, second)
		}
	}
	return first
}

// Update implements Updater.
func (s *p2c) Update(nodes []*Node) { s.draw.update(nodes) }

// New implements Selector.
func (*p2c) New() Selector { return new(p2c) }

// lessLoaded returns the one where a call is expected to wait less, a where both
// are equal.
func lessLoaded(a, b *Node) *Node {
	now := time.Now()
	slowA, slowB := float64(a.Latency(now)), float64(b.Latency(now))
	if slowA == 0 || slowB == 0 {
		slowA = max(slowA, slowB, 1)
		slowB = slowA
	}
	if b.wait(slowB, now) < a.wait(slowA, now) {
		return b
	}
	return a
}

// wait is how long a call would wait at n, in units of slow: for its share of
// those in flight, and for itself.
func (n *Node) wait(slow float64, now time.Time) float64 {
	if waiting := n.InFlight(); waiting > 0 {
		slow *= 1 + float64(waiting)/(float64(n.Weight())*n.warmth())
	}
	if failed := n.Failures(); failed > 0 {
		slow *= 1 + penalty(failed, now.Sub(n.LastFailure()))
	}
	return slow
}

// penalty is by how much a node that failed looks slower, after age.
func penalty(failed int, age time.Duration) float64 {
	more := (math.Exp2(float64(min(failed, maxDoublings))) - 1) * decay(age)
	if more < 0.5 {
		return 0 // else equals would never be tried again
	}
	return more
}
