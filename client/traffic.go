package client

import (
	"sync"

	"github.com/sinew-rpc/sinew/transport"
)

// traffic is what the connections of a client carry, with those that have ended.
// A call does not touch it.
type traffic struct {
	mu sync.Mutex
	// Guarded by mu:
	live    map[*transport.Session]struct{}
	carried transport.Traffic // by sessions that have ended
}

// began is told of each session before anything is read or written on it.
func (t *traffic) began(s *transport.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live == nil {
		t.live = make(map[*transport.Session]struct{})
	}
	t.live[s] = struct{}{}
}

// ended is told once its goroutines have ended.
func (t *traffic) ended(s *transport.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.live, s)
	t.carried = t.carried.Plus(s.Traffic())
}

// sum returns how many sessions there are, and what all have carried.
func (t *traffic) sum() (connections int, carried transport.Traffic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	carried = t.carried
	for s := range t.live {
		carried = carried.Plus(s.Traffic())
	}
	return len(t.live), carried
}
