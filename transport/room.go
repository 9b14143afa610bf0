package transport

import (
	"sync"
	"sync/atomic"
)

// Room bounds what one side takes in at once over all its sessions: requests
// whose handler has not ended, and the bytes of their bodies, as they arrived and
// as they were inflated. A nil Room has no bounds. All methods may run concurrently.
type Room struct {
	maxRequests, maxBytes int64

	requests atomic.Int64
	bytes    atomic.Int64
	partial  atomic.Int64  // bytes held for bodies that are still arriving
	small    atomic.Int64  // those of them that are held for small ones
	lacks    atomic.Uint32 // times that one of them found no room
	gives    atomic.Uint32 // times that one of them gave room back
	asked    atomic.Bool   // waiters or empty is set: give looks at the lock only then
	growing  atomic.Bool   // growers is set: the same for givePartial

	mu      sync.Mutex
	waiters []chan<- struct{} // readers that pause for a request; each is told once
	growers []chan<- struct{} // readers that pause for a body to grow; the same
	empty   chan struct{}     // closed when requests reaches 0; nil when nobody asks
}

// NewRoom returns a Room for maxRequests requests and maxBytes bytes in flight;
// a number of 0 or less is no bound.
func NewRoom(maxRequests int, maxBytes int64) *Room {
	return &Room{maxRequests: int64(maxRequests), maxBytes: maxBytes}
}

// InFlight returns the requests that are being served now.
func (r *Room) InFlight() int {
	if r == nil {
		return 0
	}
	return int(r.requests.Load())
}

// Bytes returns the bytes of the bodies that are held for those requests.
func (r *Room) Bytes() int64 {
	if r == nil {
		return 0
	}
	return r.bytes.Load()
}

// Take takes room for one request that did not come on a session, with a body
// of n bytes, or nothing and returns false. Give gives it back.
func (r *Room) Take(n int) bool { return r.take(1, n) }

// Give gives back what Take took for a body of n bytes.
func (r *Room) Give(n int) { r.give(1, n) }

// Hold takes room for n bytes more that a request in flight has made of its body,
// or nothing and returns false. Free gives them back.
func (r *Room) Hold(n int) bool { return r == nil || r.takeBytes(n) }

// Free gives back n bytes that Hold took.
func (r *Room) Free(n int) { r.give(0, n) }

// take takes room for requests and bytes, or nothing and returns false. One
// body larger than the whole bound never fits.
func (r *Room) take(requests, bytes int) bool {
	if r == nil {
		return true
	}
	if n := r.requests.Add(int64(requests)); r.maxRequests > 0 && n > r.maxRequests {
		r.give(requests, 0)
		return false
	}
	if !r.takeBytes(bytes) {
		r.give(requests, 0)
		return false
	}
	return true
}

func (r *Room) takeBytes(bytes int) bool {
	if n := r.bytes.Add(int64(bytes)); r.maxBytes > 0 && n > r.maxBytes && bytes > 0 {
		r.give(0, bytes)
		return false
	}
	return true
}

// need is what a reader lacks room for: one request more, or a body that is arriving
// and is to grow.
type need struct {
	bytes      int // of the request's body
	grow, held int // bytes that the body is to grow to, and those it has; 0: a request
	whole      int // bytes of the body that grows, once it is there
}

// isSmall reports whether a body of so many bytes, once it is there, has a share in the
// room that small ones have to themselves while they arrive.
func isSmall(whole int) bool { return whole <= provenRoom }

// fits reports whether what is needed could have been taken just now.
func (r *Room) fits(n need) bool {
	switch {
	case r == nil:
		return true
	case n.grow > 0:
		sum, small := r.partial.Load()+int64(n.grow-n.held), r.small.Load()
		if isSmall(n.whole) {
			small += int64(n.grow - n.held)
		}
		return r.fitsPartial(n, sum, small)
	}
	return (r.maxRequests <= 0 || r.requests.Load()+1 <= r.maxRequests) &&
		(r.maxBytes <= 0 || r.bytes.Load()+int64(n.bytes) <= r.maxBytes)
}

// ever reports whether bytes could be held if nothing else were.
func (r *Room) ever(bytes int) bool {
	return r == nil || r.maxBytes <= 0 || int64(bytes) <= r.maxBytes
}

func (r *Room) give(requests, bytes int) {
	if r == nil {
		return
	}
	left := r.requests.Add(-int64(requests))
	r.bytes.Add(-int64(bytes))
	if r.asked.Load() {
		r.wake(left == 0)
	}
}

func (r *Room) wake(empty bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiters = tell(r.waiters)
	if empty && r.empty != nil {
		close(r.empty)
		r.empty = nil
	}
	r.asked.Store(r.empty != nil)
}

// wakeGrowers is wake for those who wait for a body to grow: other room is nothing to
// them.
func (r *Room) wakeGrowers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.growers = tell(r.growers)
	r.growing.Store(false)
}

// tell tells all who wait, and returns the list of them, empty.
func tell(waiters []chan<- struct{}) []chan<- struct{} {
	for _, c := range waiters {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	clear(waiters)
	return waiters[:0]
}

// takePartial has a body that is still arriving grow as n says. Such bodies have half
// of the bound beside the bound itself, so that slow senders cannot take it from
// requests that are whole.
func (r *Room) takePartial(n need) bool {
	if r == nil || r.maxBytes <= 0 {
		return true
	}
	more := int64(n.grow - n.held)
	if !r.fitsPartial(n, r.partial.Add(more), r.addSmall(more, n.whole)) {
		r.partial.Add(-more)
		r.addSmall(-more, n.whole)
		r.lacks.Add(1)
		return false
	}
	return true
}

// addSmall books so many bytes for a body of whole bytes, where that is small, and
// returns what small ones hold.
func (r *Room) addSmall(bytes int64, whole int) int64 {
	if !isSmall(whole) {
		return r.small.Load()
	}
	return r.small.Add(bytes)
}

// fitsPartial reports whether all partial bodies may hold sum bytes, and the small
// ones among them small, when one grows as n says. Small ones have an eighth of the
// half to themselves, which large ones cannot keep from them; and one that is larger
// than the half may have it, if the others are little.
func (r *Room) fitsPartial(n need, sum, small int64) bool {
	most := r.maxBytes / 2
	own := most / 8
	if isSmall(n.whole) {
		return r.maxBytes <= 0 || small <= own || sum <= most+own
	}
	sum -= min(small, own)
	return r.maxBytes <= 0 || sum <= most || sum-int64(n.grow) <= r.maxBytes/8
}

// givePartial gives back n bytes that a body of whole bytes held while it arrived.
func (r *Room) givePartial(n, whole int) {
	if r == nil || r.maxBytes <= 0 || n <= 0 {
		return
	}
	r.partial.Add(int64(-n))
	r.addSmall(int64(-n), whole)
	r.gives.Add(1)
	if r.growing.Load() {
		r.wakeGrowers()
	}
}

// givenPartial counts how often a body that was arriving gave its room back. It may be
// read at any time.
func (r *Room) givenPartial() uint32 {
	if r == nil {
		return 0
	}
	return r.gives.Load()
}

// lacked counts how often a body that was arriving found no room to grow. It may be
// read at any time.
func (r *Room) lacked() uint32 {
	if r == nil {
		return 0
	}
	return r.lacks.Load()
}

// watch has c told when room of the kind that n needs is next given back.
func (r *Room) watch(n need, c chan<- struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.grow > 0 {
		r.growers = append(r.growers, c)
		r.growing.Store(true)
		return
	}
	r.waiters = append(r.waiters, c)
	r.asked.Store(true)
}

// Empty returns a channel that is closed when no request is in flight.
func (r *Room) Empty() <-chan struct{} {
	closed := make(chan struct{})
	if r == nil {
		close(closed)
		return closed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked.Store(true) // before the look: a give that comes between takes the lock
	if r.requests.Load() == 0 {
		close(closed)
		return closed
	}
	if r.empty == nil {
		r.empty = make(chan struct{})
	}
	return r.empty
}
