package client

import (
	"sync"
	"sync/atomic"
	"time"
)

// budgetWindow is over how long calls and retries are compared.
const budgetWindow = 10 * time.Second

// budget holds the retries and hedges of all calls of a client together below a
// share of its calls, so that an outage is not answered by a multiple of the
// load. All methods may run concurrently; on nil there is no bound.
//
// The idea is that of Finagle's retry budget and of "Addressing Cascading
// Failures" in Google's book on site reliability.
type budget struct {
	share float64 // of the calls in the window
	least int     // allowed whatever the calls are
	born  time.Time
	calls [stripes]secondsOnALine

	mu sync.Mutex
	// Guarded by mu:
	taken seconds
}

// secondsOnALine keeps to cache lines of its own.
type secondsOnALine struct {
	seconds
	_ [48]byte
}

// newBudget returns nil for a negative share.
func newBudget(share float64, least int) *budget {
	if share < 0 {
		return nil
	}
	return &budget{share: share, least: max(0, least), born: time.Now()}
}

// call notes a call that began at now.
func (b *budget) call(now time.Time) {
	if b != nil {
		b.calls[anyStripe()].add(b.second(now))
	}
}

// take asks for one retry.
func (b *budget) take() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	second := b.second(time.Now())
	if b.leftLocked(second) < 1 {
		return false
	}
	b.taken.add(second)
	return true
}

// left returns how many retries would be allowed now, -1 without a bound.
func (b *budget) left() int64 {
	if b == nil {
		return -1
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leftLocked(b.second(time.Now()))
}

func (b *budget) leftLocked(second uint32) int64 {
	var calls uint64
	for i := range b.calls {
		calls += b.calls[i].sum(second)
	}
	allowed := max(int64(b.least), int64(b.share*float64(calls)))
	return max(0, allowed-int64(b.taken.sum(second)))
}

func (b *budget) second(now time.Time) uint32 { return uint32(now.Sub(b.born) / time.Second) }

// seconds counts what happened in each of the last seconds of a budgetWindow,
// the one that has begun included. An element holds its second above and its
// count below, so that neither is ever seen without the other.
type seconds [budgetWindow / time.Second]atomic.Uint64

func (s *seconds) add(second uint32) {
	slot := &s[second%uint32(len(s))]
	for {
		old := slot.Load()
		if int32(uint32(old>>32)-second) >= 0 {
			slot.Add(1) // of this second, or of one that others have begun since
			return
		}
		if slot.CompareAndSwap(old, uint64(second)<<32|1) {
			return
		}
	}
}

func (s *seconds) sum(second uint32) (n uint64) {
	for i := range s {
		if word := s[i].Load(); second-uint32(word>>32) < uint32(len(s)) {
			n += uint64(uint32(word))
		}
	}
	return n
}
