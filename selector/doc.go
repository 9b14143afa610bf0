// Package selector chooses, for each attempt of a call, the provider that gets
// it.
//
// The client keeps one [Node] per provider and hands a [Selector] the nodes
// that may be chosen now: those that every [Filter] lets pass, that are neither
// degraded nor behind an open breaker, nor already tried by this call. What a
// policy remembers about a provider lives in its Node, as atomics, so picking
// takes no lock and survives a change of the list.
//
// The policies, all of which honour slow start, and all but round robin weights:
//
//   - [NewRandomSelector], the default: no state, no agreement, no surprise.
//   - [NewRoundRobinSelector]: one after the other, whatever they weigh.
//   - [NewWeightedRoundRobinSelector]: in turn, by weight, without bursts.
//   - [NewP2CSelector]: the less loaded of two, by latency and calls in flight;
//     for providers, or calls, that differ in how long they take.
//   - [NewConsistentHashSelector]: equal keys to the same provider, as long as
//     that is not overloaded; for caches.
//
// A policy of one's own implements [Selector]; a rule about who may be chosen
// at all implements [Filter], where [BaseFilter] lends the half not needed.
package selector
