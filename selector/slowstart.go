package selector

import (
	"math/rand/v2"
	"time"
)

// coldest is the share, of its full one, that a node has at its start: some
// calls, for caches and pools fill by calls alone.
const coldest = 0.1

// Warmth returns the part of its weight with which the node counts at now. It
// grows in a straight line over SlowStart, from the start of its provider on,
// and is a tenth at least and 1 at most.
//
// The start is what the provider says (registry.Provider.Started), but no
// later than when this client first saw it, since clocks differ. A provider that
// does not say when it started is warm.
func (n *Node) Warmth(now time.Time) float64 {
	begun := n.Provider.Started
	if n.SlowStart <= 0 || begun.IsZero() {
		return 1
	}
	if begun.After(n.joined) {
		begun = n.joined
	}
	age := now.Sub(begun)
	if age >= n.SlowStart {
		return 1
	}
	return max(coldest, float64(age)/float64(n.SlowStart))
}

// warmth is Warmth now. It looks at the clock only as long as that matters.
func (n *Node) warmth() float64 {
	if n.SlowStart <= 0 || n.warm.Load() {
		return 1
	}
	w := n.Warmth(time.Now())
	if w >= 1 {
		n.warm.Store(true)
	}
	return w
}

// takes reports, by chance, whether the node takes a call that its weight gives
// it: a cold one takes as many of them as it is warm.
func (n *Node) takes() bool {
	w := n.warmth()
	return w >= 1 || rand.Float64() < w
}

// coldTries is how often a policy that met a cold node looks for another. Where
// every node is cold, all are alike and the last may as well be taken.
const coldTries = 16
