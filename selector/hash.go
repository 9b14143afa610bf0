package selector

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync/atomic"
)

// DefaultLoadBound is how many times the average a node may be loaded before
// keys of its own go elsewhere.
const DefaultLoadBound = 1.25

// pointsPerNode is how many points the heaviest node has on the ring. The
// shares of 1,000 equal nodes then differ by a tenth (one standard deviation),
// and the bound on loads catches what that does.
const pointsPerNode = 100

// NewConsistentHashSelector returns the policy that sends equal keys
// (PickInfo.Key, client.Key) to the same node: to the next point on a ring on
// which each node has points, as many as its weight asks for (D. Karger et al.,
// STOC 1997). All clients agree on it, since points depend on ProviderKey and
// relative weight alone; and when a node comes or goes, only keys move that are
// then, or were, its own. That holds for as long as the largest weight in the list
// does, which points are relative to: where weights differ and the only heaviest node
// comes, goes, or is given another weight, keys of the others move too.
//
// No node is given more than bound times its share of the calls that this client
// has in flight, rounded up: a key whose node is that busy goes on along the ring
// (V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded
// Loads", SODA 2018, arXiv:1608.01350). So one hot key does not bring its node
// down. bound must be above 1; 0 stands for DefaultLoadBound, and what is 1 or
// less otherwise bounds nothing.
//
// A list without any node of the ring, as calls with tags of their own may get, has no
// ring: there the node with the highest score of key, node and weight is a key's own
// (rendezvous hashing, D. Thaler, C. Ravishankar, IEEE/ACM ToN 6, 1998), within the same
// bound.
//
// Calls without a key go anywhere, at random by weight.
func NewConsistentHashSelector(bound float64) Selector {
	if bound == 0 {
		bound = DefaultLoadBound
	}
	return &hashing{bound: bound}
}

type hashing struct {
	bound float64
	ring  atomic.Pointer[ring]
	draw  draw
}

var _ Updater = (*hashing)(nil)

// Pick implements Selector.
func (h *hashing) Pick(_ context.Context, info PickInfo, nodes []*Node) *Node {
	if info.Key == "" || len(nodes) == 0 {
		return h.draw.pick(nodes)
	}
	key := hashKey(info.Key)
	if r := h.ring.Load(); r != nil {
		if n := r.find(key, nodes, h.bound); n != nil {
			return n
		}
	}
	return highest(key, nodes, h.bound)
}

// Update implements Updater.
func (h *hashing) Update(nodes []*Node) {
	h.draw.update(nodes)
	h.ring.Store(newRing(nodes))
}

// New implements Selector.
func (h *hashing) New() Selector { return &hashing{bound: h.bound} }

// point is a place on the ring and whose it is.
type point struct {
	at   uint64
	node int32
}

// ring is what one list was made into.
type ring struct {
	nodes  []*Node
	points []point // by place
	weight float64 // of all nodes
	load   load
}

func newRing(nodes []*Node) *ring {
	r := &ring{nodes: nodes}
	heaviest := 1
	for _, n := range nodes {
		heaviest = max(heaviest, n.Weight())
		r.weight += float64(n.Weight())
	}
	for i, n := range nodes {
		place := hashKey(n.Provider.ProviderKey)
		for range max(1, (pointsPerNode*n.Weight()+heaviest/2)/heaviest) {
			place = mix(place)
			r.points = append(r.points, point{place, int32(i)})
		}
	}
	slices.SortFunc(r.points, func(a, b point) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.node, b.node)) })
	return r
}

// farthest is how many points a walk passes at most on a large ring; it grows
// with the number of nodes, of which it meets nearly all.
const farthest = 1000

// find walks the ring from place on to the first node that is among nodes and
// has room. Where none has, which only calls that begin at the same moment can
// bring about, it is the first that is among nodes.
func (r *ring) find(place uint64, nodes []*Node, bound float64) *Node {
	whole := sameList(r.nodes, nodes)
	limit := math.Inf(1)
	switch {
	case bound <= 1:
	case whole:
		limit = bound * float64(r.load.of(nodes)+1) / r.weight
	default:
		limit = limitOf(nodes, bound)
	}
	begin, _ := slices.BinarySearchFunc(r.points, place, func(p point, place uint64) int { return cmp.Compare(p.at, place) })
	var first *Node
	for i := range min(len(r.points), max(farthest, 16*len(r.nodes))) {
		n := r.nodes[r.points[(begin+i)%len(r.points)].node]
		if !whole {
			if n = among(nodes, n); n == nil {
				continue
			}
		}
		if n.hasRoom(limit) {
			return n
		}
		if first == nil {
			first = n
		}
	}
	return first
}

// highest returns the node with the highest score for key among those that have room,
// or among all where none has.
func highest(key uint64, nodes []*Node, bound float64) *Node {
	limit := math.Inf(1)
	if bound > 1 {
		limit = limitOf(nodes, bound)
	}
	var best *Node
	var most float64
	for _, n := range nodes {
		score := n.score(key)
		if !n.hasRoom(limit) {
			score = -1 / score // in the same order, behind all that have room
		}
		if best == nil || score > most {
			best, most = n, score
		}
	}
	return best
}

// score is a positive number for which each node of some is the highest for as many
// keys as its weight asks for.
func (n *Node) score(key uint64) float64 {
	hash := mix(key ^ hashKey(n.Provider.ProviderKey))
	return float64(n.Weight()) / -math.Log((float64(hash>>12)+0.5)/(1<<52)) // of one between 0 and 1
}

// limitOf is how many calls a node of weight 1 may have, where none may have more than
// bound times its share of those at nodes.
func limitOf(nodes []*Node, bound float64) float64 {
	inFlight, weight := sums(nodes)
	return bound * float64(inFlight+1) / float64(weight)
}

// hasRoom reports whether one call more leaves the node within its share, where
// limit is how many a node of weight 1 may have. A cold one has less.
func (n *Node) hasRoom(limit float64) bool {
	return float64(n.InFlight()) < math.Ceil(limit*float64(n.Weight())*n.warmth())
}

func sums(nodes []*Node) (inFlight, weight int) {
	for _, n := range nodes {
		inFlight += n.InFlight()
		weight += n.Weight()
	}
	return inFlight, weight
}

// among returns the node in nodes that is n, as another entry of the same
// provider may be.
func among(nodes []*Node, n *Node) *Node {
	for _, m := range nodes {
		if m.stats == n.stats {
			return m
		}
	}
	return nil
}

// load is the calls in flight at all nodes of a ring. Counting a long list for
// each pick would cost more than the pick, so a count is used for as many picks
// as change the average by a sixteenth of a call at most.
type load struct {
	picks   atomic.Uint64
	counted atomic.Int64
}

func (l *load) of(nodes []*Node) int {
	every := uint64(max(1, len(nodes)/16))
	if (l.picks.Add(1)-1)%every != 0 {
		return int(l.counted.Load())
	}
	inFlight, _ := sums(nodes)
	l.counted.Store(int64(inFlight))
	return inFlight
}

// hashKey is 64-bit FNV-1a, mixed: that alone leaves similar keys close together.
func hashKey(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return mix(h)
}

// mix is a step of SplitMix64 (G. Steele et al., OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
