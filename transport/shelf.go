package transport

import (
	"runtime"
	"sync"
)

const (
	// firstShelf is the first class that has a shelf, that of 64 KiB.
	firstShelf = 6
	// shelfRoom is how many bytes a shelf keeps at most.
	shelfRoom = 4 << 20
)

// shelves keep large buffers while buffers of their class are in use, so that a
// collection does not take those that lie idle for a moment: a process that
// holds little is collected often, each time empties its pools, and would make
// most of its large buffers anew. When none of a class is lent any more its
// shelf is cleared into the pool, which two collections empty: so an idle
// process keeps nothing.
var shelves largeBuffers

type largeBuffers struct {
	mu sync.Mutex
	// Guarded by mu, as all that is below it.
	classes [numClasses - firstShelf]shelf
}

type shelf struct {
	lent int // buffers of the class that somebody holds
	kept []*Buffer
}

// loan says which shelf counts a buffer as lent. It outlives the buffer: one
// that was dropped without Release, as when a session ends with frames queued,
// is counted as given back when it is collected.
type loan struct {
	of *shelf // nil while no shelf counts it; the holder's
}

// lent reports whether a shelf counts b as lent.
func (b *Buffer) lent() bool { return b.loan != nil && b.loan.of != nil }

// lend returns a buffer of class, and counts it as lent.
func (l *largeBuffers) lend(class int) *Buffer {
	s := &l.classes[class-firstShelf]
	l.mu.Lock()
	s.lent++
	if n := len(s.kept) - 1; n >= 0 {
		b := s.kept[n]
		s.kept[n] = nil
		s.kept = s.kept[:n]
		l.mu.Unlock()
		b.loan.of = s
		return b
	}
	l.mu.Unlock()

	b := pooled(class)
	if b.loan == nil {
		b.loan = new(loan)
		runtime.AddCleanup(b, l.lost, b.loan)
	}
	b.loan.of = s
	return b
}

// takeBack ends the loan of b, which may by now be of another class or of none.
// It reports whether it kept b.
func (l *largeBuffers) takeBack(b *Buffer) (kept bool) {
	s := b.loan.of
	b.loan.of = nil
	l.mu.Lock()
	s.lent--
	class := int(b.class)
	kept = s.lent > 0 && class >= firstShelf && s == &l.classes[class-firstShelf] && len(s.kept) < shelfRoom>>(minClassBits+class)
	if kept {
		s.kept = append(s.kept, b)
	}
	idle := s.idle()
	l.mu.Unlock()
	discard(idle)
	return kept
}

// lost ends the loan of a buffer that was collected.
func (l *largeBuffers) lost(of *loan) {
	if of.of == nil {
		return
	}
	l.mu.Lock()
	of.of.lent--
	idle := of.of.idle()
	l.mu.Unlock()
	discard(idle)
}

// idle empties the shelf when nobody holds a buffer of its class.
func (s *shelf) idle() (kept []*Buffer) {
	if s.lent > 0 {
		return nil
	}
	kept, s.kept = s.kept, nil
	return kept
}

func discard(idle []*Buffer) {
	for _, b := range idle {
		bufferPools[b.class].Put(b)
	}
}
