package selector

import "context"

// Filter is a rule about who may be chosen. All filters of a client must let a
// node pass. The methods run concurrently and must not wait.
type Filter interface {
	// Static decides by what does not depend on the call. It is asked when
	// the list of providers changes, and when degradation or a breaker does,
	// not per call.
	Static(n *Node) bool
	// PerCall decides by the call, once for each node and attempt. ctx is the
	// call's, for the values in it.
	PerCall(ctx context.Context, info PickInfo, n *Node) bool
}

// BaseFilter lets everything pass. Embed it to write only the half of a Filter
// that is needed.
type BaseFilter struct{}

var _ Filter = BaseFilter{}

// Static implements Filter.
func (BaseFilter) Static(*Node) bool { return true }

// PerCall implements Filter.
func (BaseFilter) PerCall(context.Context, PickInfo, *Node) bool { return true }
