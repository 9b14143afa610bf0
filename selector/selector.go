package selector

import "context"

// Selector is a policy of choosing among nodes. Pick runs concurrently with
// itself and with Update: it is called for every attempt of every call, so it
// should take no lock and allocate nothing.
type Selector interface {
	// Pick returns one of nodes, or nil if none of them should be called now,
	// which fails the attempt. nodes is shared: it must not be changed, nor
	// kept after Pick returned, for it may be scratch that the client lends.
	// It may be empty. Pick must not wait; ctx is the call's, for the values
	// in it.
	Pick(ctx context.Context, info PickInfo, nodes []*Node) *Node

	// New returns a Selector of the same policy and settings with no state in
	// common. Each client calls it once, so that one option value may be
	// given to many clients.
	New() Selector
}

// Updater is implemented by a Selector that prepares something per list, such
// as a hash ring. Update is called with every rebuilt list, before the first
// Pick from it, by one goroutine at a time; Pick may run meanwhile, still with
// the list before. nodes is shared and stays valid: it may be kept, but not
// changed.
type Updater interface {
	Update(nodes []*Node)
}

// Blind is implemented by a Selector that does not look at what calls teach
// about a node (InFlight, Latency, Failures), so that a client need not measure
// them.
type Blind interface {
	// Blind does nothing.
	Blind()
}

// PickInfo is what a policy or a filter may know about the call.
type PickInfo struct {
	// ServiceMethod is what is called, as "Service.Method".
	ServiceMethod string
	// Key is the affinity that the caller asked for (client.Key); empty for
	// none.
	Key string
	// Tags are those of the client and of this call together. Nobody writes
	// into the map.
	Tags map[string]string
	// Attempt counts the attempts of this call; the first is 0.
	Attempt int
}
