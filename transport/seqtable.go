package transport

import "sync"

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

// longRings are *[]seqEntry[T], empty and longer than keptRing. Those of another T
// are dropped when they are met: most processes call or serve, and a pool of its own
// for each would cost every table a word.
var longRings sync.Pool

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
	t.ring = t.longRing(2 * len(old))
	if t.ring == nil {
		t.ring = make([]seqEntry[T], 2*len(old))
	}
	for i := range old {
		if old[i].used {
			t.ring[old[i].seq&uint64(len(t.ring)-1)] = old[i]
		}
	}
}

// longRing returns a ring that another burst has left, of length or longer; nil
// where there is none.
func (t *seqTable[T]) longRing(length int) []seqEntry[T] {
	if length <= keptRing {
		return nil
	}
	if r, ok := longRings.Get().(*[]seqEntry[T]); ok && len(*r) >= length {
		return *r
	}
	return nil
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
	t.ring = make([]seqEntry[T], len(old)/2)
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
func (t *seqTable[T]) leaveRing(ring []seqEntry[T]) { longRings.Put(&ring) }

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
