package selector

import (
	"context"
	"sync/atomic"
)

// scheduleCost bounds the work of one schedule: its length times the number of
// nodes. With 1,000 nodes that leaves 8 turns for one of average weight, with
// 100 it leaves 800: weights are rounded to what can be told apart with those.
const scheduleCost = 8_000_000

// NewWeightedRoundRobinSelector returns the policy that takes nodes in turn,
// each as often as its weight asks for, and those of a heavy one spread among
// the others: with weights 5, 1 and 1 the turns are a a b a c a a. That is
// nginx's smooth weighted round robin (Igor Sysoev, commit 52327e0627f4, 2012).
//
// The turns are written down when the list changes, so that a pick is a count.
// A list that was made for one call, by its tags or since some providers were
// tried already, has no schedule: there it picks at random by weight.
func NewWeightedRoundRobinSelector() Selector { return newWeighted() }

type weighted struct {
	turn     turn
	schedule atomic.Pointer[schedule]
	draw     draw
}

// schedule is one round of turns.
type schedule struct {
	nodes []*Node
	turns []int32
}

var (
	_ Updater = (*weighted)(nil)
	_ Blind   = (*weighted)(nil)
)

func newWeighted() *weighted {
	w := new(weighted)
	w.turn.begin()
	return w
}

// Pick implements Selector.
func (w *weighted) Pick(_ context.Context, _ PickInfo, nodes []*Node) *Node {
	s := w.schedule.Load()
	if s == nil || !sameList(s.nodes, nodes) {
		return w.draw.pick(nodes)
	}
	var n *Node
	for range coldTries {
		if n = nodes[s.turns[w.turn.next(len(s.turns))]]; n.takes() {
			break
		}
	}
	return n
}

// Update implements Updater.
func (w *weighted) Update(nodes []*Node) {
	w.draw.update(nodes)
	w.schedule.Store(&schedule{nodes: nodes, turns: smoothTurns(roundWeights(nodes))})
}

// New implements Selector.
func (*weighted) New() Selector { return newWeighted() }

// Blind implements Blind.
func (*weighted) Blind() {}

// roundWeights returns the smallest weights in the same proportions, or nearly
// the same where the schedule would be too long.
func roundWeights(nodes []*Node) []int {
	weights := make([]int, len(nodes))
	divisor, sum := 0, 0
	for i, n := range nodes {
		weights[i] = n.Weight()
		divisor = gcd(weights[i], divisor)
		sum += weights[i]
	}
	if len(nodes) == 0 {
		return nil
	}
	longest := max(len(nodes), scheduleCost/len(nodes))
	sum /= divisor
	for i := range weights {
		weights[i] /= divisor
		if sum > longest {
			weights[i] = max(1, (weights[i]*longest+sum/2)/sum)
		}
	}
	return weights
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// smoothTurns gives each turn to who has saved up most: every node saves its
// weight per turn, and who is taken pays the sum of all.
func smoothTurns(weights []int) []int32 {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	turns := make([]int32, 0, sum)
	saved := make([]int, len(weights))
	for range sum {
		best := 0
		for i, w := range weights {
			if saved[i] += w; saved[i] > saved[best] {
				best = i
			}
		}
		saved[best] -= sum
		turns = append(turns, int32(best))
	}
	return turns
}
