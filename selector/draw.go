package selector

import (
	"math/rand/v2"
	"sync/atomic"
)

// draw picks at random, each node by its weight and warmth. Its zero value is
// ready. pick runs concurrently with itself and with update.
type draw struct{ table atomic.Pointer[aliases] }

// aliases is Walker's table (A. J. Walker, ACM TOMS 3, 1977), built as M. D.
// Vose does (IEEE TSE 17, 1991): one die for the place and one for the node or
// its alias there, however many nodes there are.
type aliases struct {
	nodes []*Node
	even  bool // all weights are equal, and the rest is empty
	keep  []float64
	alias []int32
}

// update prepares for nodes.
func (d *draw) update(nodes []*Node) { d.table.Store(newAliases(nodes)) }

func newAliases(nodes []*Node) *aliases {
	t := &aliases{nodes: nodes, even: evenly(nodes)}
	if t.even {
		return t
	}
	var sum float64
	for _, n := range nodes {
		sum += float64(n.Weight())
	}
	t.keep, t.alias = make([]float64, len(nodes)), make([]int32, len(nodes))
	var small, large []int32
	for i, n := range nodes {
		t.keep[i] = float64(n.Weight()) * float64(len(nodes)) / sum
		t.alias[i] = int32(i)
		if t.keep[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		poor, rich := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		t.alias[poor] = rich
		if t.keep[rich] -= 1 - t.keep[poor]; t.keep[rich] < 1 {
			large = large[:len(large)-1]
			small = append(small, rich)
		}
	}
	return t
}

// pick returns a node, nil from none.
func (d *draw) pick(nodes []*Node) *Node {
	if len(nodes) == 0 {
		return nil
	}
	t := d.table.Load()
	for range coldTries - 1 {
		if n := t.one(nodes); n.takes() {
			return n
		}
	}
	return t.one(nodes)
}

// one draws by weight alone. t may be nil, and nodes need not be its own.
func (t *aliases) one(nodes []*Node) *Node {
	switch {
	case t != nil && t.even && sameList(t.nodes, nodes):
		return nodes[rand.IntN(len(nodes))]
	case t != nil && sameList(t.nodes, nodes):
		place := rand.IntN(len(nodes))
		if rand.Float64() >= t.keep[place] {
			place = int(t.alias[place])
		}
		return nodes[place]
	}
	return drawUnprepared(nodes)
}

// drawUnprepared is for lists that were made for one call.
func drawUnprepared(nodes []*Node) *Node {
	sum := 0
	for _, n := range nodes {
		sum += n.Weight()
	}
	left := rand.IntN(sum)
	for _, n := range nodes {
		if left -= n.Weight(); left < 0 {
			return n
		}
	}
	return nodes[len(nodes)-1]
}
