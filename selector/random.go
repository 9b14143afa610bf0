package selector

import (
	"context"
	"math/rand/v2"
)

// NewRandomSelector returns the policy that gives every node the same chance
// and looks at nothing else. It keeps no state.
func NewRandomSelector() Selector { return random{} }

type random struct{}

// Pick implements Selector.
func (random) Pick(_ context.Context, _ PickInfo, nodes []*Node) *Node {
	if len(nodes) == 0 {
		return nil
	}
	return nodes[rand.IntN(len(nodes))]
}

// New implements Selector.
func (random) New() Selector { return random{} }
