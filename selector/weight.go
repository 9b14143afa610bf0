package selector

// maxWeight is the largest weight that counts as more than smaller ones.
const maxWeight = 1_000_000

// Weight returns the share that the node's provider asks for, relative to
// others: 1 where it says nothing or is negative (which asks for no calls as
// long as another provider is there, and clients see to that), and at most
// 1,000,000.
func (n *Node) Weight() int {
	w := n.Provider.Weight
	if w <= 0 {
		return 1
	}
	return min(w, maxWeight)
}

// evenly reports whether all nodes have the same weight.
func evenly(nodes []*Node) bool {
	for _, n := range nodes {
		if n.Weight() != nodes[0].Weight() {
			return false
		}
	}
	return true
}

// sameList reports whether a and b are one slice. Lists are not changed, so
// that what was prepared for one holds for the other.
func sameList(a, b []*Node) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}
