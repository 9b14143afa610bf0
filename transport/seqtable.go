package transport

import (
	"math/bits"
	"sync"
)

// seqTable maps sequence numbers to what is under way for them. Senders count
// their numbers up, so the entries that matter stand in a ring, found by the
// low bits without hashing; one whose place is taken by a later number moves
// to a map, as those of a peer that does not count do. The zero value is
// ready. It is not safe for concurrent use.
type seqTable[T any] struct {
	ring  []seqEntry[T] // a power of two long
	moved map[uint64]T
	size  int
}

type seqEntry[T any] struct {
	seq   uint64
	used  bool
	value T
}

const (
	firstRing   = 2
	largestRing = 4096
	keptRing    = 256 // a larger one is left to the next burst when nothing is in it
)

// longRings are *[]seqEntry[T], empty, a pool for each length from keptRing on: a
// table with a longer one than it asked for would shrink it at once. Those of another T
// are dropped when they are met: most processes call or serve, and a pool of its own
// for each would cost every table a word.
var longRings [5]sync.Pool // the last is for largestRing

// ringsOf returns the pool of rings of that length, nil where there is none.
func ringsOf(length int) *sync.Pool {
	if length < keptRing {
		return nil
	}
	return &longRings[bits.Len(uint(length/keptRing))-1]
}

// len returns how many entries there are.
func (t *seqTable[T]) len() int { return t.size }

// get returns the entry of seq.
func (t *seqTable[T]) get(seq uint64) (value T, ok bool) {
	if len(t.ring) > 0 {
		if e := &t.ring[seq&uint64(len(t.ring)-1)]; e.used && e.seq == seq {
			return e.value, true
		}
	}
	value, ok = t.moved[seq]
	return value, ok
}

// put enters seq, false when it is there already.
func (t *seqTable[T]) put(seq uint64, value T) bool {
	if _, there := t.get(seq); there {
		return false
	}
	t.size++
	for {
		if len(t.ring) == 0 {
			t.ring = make([]seqEntry[T], firstRing)
		}
		e := &t.ring[seq&uint64(len(t.ring)-1)]
		if !e.used {
			*e = seqEntry[T]{seq, true, value}
			return true
		}
		if len(t.ring) == largestRing || t.size <= len(t.ring)/4 {
			t.move(e)
			*e = seqEntry[T]{seq, true, value}
			return true
		}
		t.grow()
	}
}

// move makes place by taking e's entry to the map.
func (t *seqTable[T]) move(e *seqEntry[T]) {
	if t.moved == nil {
		t.moved = make(map[uint64]T)
	}
	t.moved[e.seq] = e.value
}

// grow doubles the ring. Entries that shared no place before share none after.
func (t *seqTable[T]) grow() {
	old := t.ring
	t.ring = t.newRing(2 * len(old))
	for i := range old {
		if old[i].used {
			t.ring[old[i].seq&uint64(len(t.ring)-1)] = old[i]
		}
	}
	clear(old)
	t.leaveRing(old)
}

// newRing returns an empty ring, which another burst may have left.
func (t *seqTable[T]) newRing(length int) []seqEntry[T] {
	if rings := ringsOf(length); rings != nil {
		if r, ok := rings.Get().(*[]seqEntry[T]); ok {
			return *r
		}
	}
	return make([]seqEntry[T], length)
}

// take removes and returns the entry of seq.
func (t *seqTable[T]) take(seq uint64) (value T, ok bool) {
	if len(t.ring) > 0 {
		if e := &t.ring[seq&uint64(len(t.ring)-1)]; e.used && e.seq == seq {
			value = e.value
			*e = seqEntry[T]{}
			t.shrink()
			return value, true
		}
	}
	if value, ok = t.moved[seq]; ok {
		delete(t.moved, seq)
		t.shrink()
	}
	return value, ok
}

// shrink books a removal, and lets go of what a burst left behind.
func (t *seqTable[T]) shrink() {
	t.size--
	switch {
	case t.size == 0:
		t.moved = nil
		if len(t.ring) > keptRing {
			t.leaveRing(t.ring)
			t.ring = nil
		}
	case len(t.ring) > keptRing && t.size < len(t.ring)/16:
		t.halve()
	}
}

// halve makes do with half of the ring. Of two entries that share a place in it one
// moves.
func (t *seqTable[T]) halve() {
	old := t.ring
	t.ring = t.newRing(len(old) / 2)
	for i := range old {
		if !old[i].used {
			continue
		}
		e := &t.ring[old[i].seq&uint64(len(t.ring)-1)]
		if e.used {
			t.move(e)
		}
		*e = old[i]
	}
	clear(old)
	t.leaveRing(old)
}

// leaveRing leaves an empty ring to another burst.
func (t *seqTable[T]) leaveRing(ring []seqEntry[T]) {
	if rings := ringsOf(len(ring)); rings != nil {
		left := ring // which goes to the heap, and only here
		rings.Put(&left)
	}
}

// all returns every value, in no order.
func (t *seqTable[T]) all() []T {
	values := make([]T, 0, t.size)
	for i := range t.ring {
		if t.ring[i].used {
			values = append(values, t.ring[i].value)
		}
	}
	for _, v := range t.moved {
		values = append(values, v)
	}
	return values
}
