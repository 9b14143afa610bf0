package selector

import (
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// Node is a provider as a client sees it: what the registry says of it, and
// what the client's own calls have taught about it. All methods may be called
// concurrently; none takes a lock or allocates.
type Node struct {
	// Provider is what the registry lists. It is for reading alone, the map
	// and the slices in it included; when it changes, the client goes on with
	// another Node (see With).
	Provider registry.Provider
	// SlowStart is how long the node's share grows after its provider began to
	// serve, see Warmth; zero or negative: it has its full share at once. It is
	// set before the node is used, and not changed afterwards.
	SlowStart time.Duration

	joined time.Time   // when this instance was first seen, by the clock here
	warm   atomic.Bool // slow start is over: nobody need look at the clock
	stats  *stats
}

// stats is shared by all nodes of one provider over time.
type stats struct {
	born     time.Time // the origin of the clocks below
	inFlight atomic.Int64
	latency  ewma
	failures atomic.Int32 // since the last success
	failedAt atomic.Int64 // nanoseconds after born; 0 for never
}

// NewNode returns a node without history. It keeps p.
func NewNode(p registry.Provider) *Node {
	now := time.Now()
	return &Node{Provider: p, joined: now, stats: &stats{born: now}}
}

// With returns a node for p, the changed entry of the same provider, with the
// history of n: calls begun on either count for both. Another instance at the
// same address starts slowly anew, without the failures of the one before.
func (n *Node) With(p registry.Provider) *Node {
	next := &Node{Provider: p, SlowStart: n.SlowStart, joined: n.joined, stats: n.stats}
	if p.Supersedes(n.Provider) {
		next.joined = time.Now()
		n.stats.failures.Store(0)
		n.stats.failedAt.Store(0)
	}
	return next
}

// Begin notes that an attempt is given to the node. Every Begin is followed by
// one End.
func (n *Node) Begin() { n.stats.inFlight.Add(1) }

// End notes that an attempt has ended, in whatever way.
func (n *Node) End() { n.stats.inFlight.Add(-1) }

// InFlight returns how many attempts have begun and not ended.
func (n *Node) InFlight() int { return int(n.stats.inFlight.Load()) }

// Succeeded notes that at now the node answered an attempt, after took.
func (n *Node) Succeeded(now time.Time, took time.Duration) {
	n.stats.latency.add(now.Sub(n.stats.born), took)
	// Read first: the line stays shared between processors while all is well.
	if n.stats.failures.Load() != 0 {
		n.stats.failures.Store(0)
	}
}

// Failed notes that at now an attempt failed in a way that speaks of the
// provider's health. Its duration is no latency: a refusal is fast.
func (n *Node) Failed(now time.Time) {
	n.stats.failures.Add(1)
	n.stats.failedAt.Store(max(1, int64(now.Sub(n.stats.born))))
}

// Unanswered notes that at now the node had not answered an attempt, which had
// gone on for so long and is waited for no more, as another node was faster. An
// answer would have taken longer than that: it counts as one where it is more than
// the average, and tells nothing where it is less. It is no failure.
func (n *Node) Unanswered(now time.Time, after time.Duration) {
	at := now.Sub(n.stats.born)
	if after > n.stats.latency.at(at) {
		n.stats.latency.add(at, after)
	}
}

// Failures returns how many attempts failed since the last that succeeded.
func (n *Node) Failures() int { return int(n.stats.failures.Load()) }

// LastFailure returns when Failed was last called, or the zero time.
func (n *Node) LastFailure() time.Time {
	at := n.stats.failedAt.Load()
	if at == 0 {
		return time.Time{}
	}
	return n.stats.born.Add(time.Duration(at))
}

// Latency returns the average time that the node took to answer, or did not answer
// in (see Unanswered), as seen from now: answers count the less the older they are,
// by half every 3.5 seconds, and in silence the average falls likewise, so that a
// node which was slow once is tried again. It is 0 before the first answer.
func (n *Node) Latency(now time.Time) time.Duration {
	return n.stats.latency.at(now.Sub(n.stats.born))
}
