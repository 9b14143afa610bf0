package selector

import "context"

// NewRandomSelector returns the policy that gives every node the chance that its
// weight asks for, and looks at nothing else. It is the default: it needs no
// agreement between clients, and none of them can fall into step with another.
func NewRandomSelector() Selector { return new(random) }

type random struct{ draw draw }

var (
	_ Updater = (*random)(nil)
	_ Blind   = (*random)(nil)
)

// Pick implements Selector.
func (r *random) Pick(_ context.Context, _ PickInfo, nodes []*Node) *Node { return r.draw.pick(nodes) }

// Update implements Updater.
func (r *random) Update(nodes []*Node) { r.draw.update(nodes) }

// New implements Selector.
func (*random) New() Selector { return new(random) }

// Blind implements Blind.
func (*random) Blind() {}
