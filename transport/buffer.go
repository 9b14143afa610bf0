package transport

import (
	"math/bits"
	"sync"
)

// Buffer is a lent slice of bytes: whoever holds it owns it alone, passes it on
// or calls Release once. After that neither it nor a slice of B may be used.
type Buffer struct {
	B      []byte
	class  int8   // index into bufferPools, or -1 for a slice of its own
	listed bool   // pieces is in use
	sheaf  *sheaf // that B is a part of; nil: of none
	loan   *loan  // nil for a buffer that never had the size of a shelf

	// pieces is room for the list of slices that a read or write with this
	// buffer is given: here, so that an idle session holds neither the list nor
	// what it points to. It is nil until it is needed.
	pieces *[1 + 2*largeAtOnce][]byte
}

// list returns the empty list of pieces.
func (b *Buffer) list() [][]byte {
	if b.pieces == nil {
		b.pieces = new([1 + 2*largeAtOnce][]byte)
	}
	b.listed = true
	return b.pieces[:0]
}

// A class holds a power of two and a little more, because what travels is
// often a payload of a round size with a few bytes round it. Larger buffers are
// left to the collector: a pool must not hoard what one huge call needed.
const (
	minClassBits = 10
	classSlack   = 512
	numClasses   = 11 // 1 KiB ... 1 MiB, each plus classSlack
)

var bufferPools [numClasses]sync.Pool

func classSize(class int) int { return 1<<(minClassBits+class) + classSlack }

// classFor returns the smallest class with room for n bytes, which may be one
// too many.
func classFor(n int) int {
	if n <= classSize(0) {
		return 0
	}
	return bits.Len(uint(n-classSlack-1)) - minClassBits
}

// NewBuffer returns an empty buffer with room for n bytes.
func NewBuffer(n int) *Buffer {
	class := classFor(n)
	switch {
	case class >= numClasses:
		return &Buffer{B: make([]byte, 0, n), class: -1}
	case class >= firstShelf:
		return shelves.lend(class)
	}
	return pooled(class)
}

// pooled returns a buffer of the pool, or a new one.
func pooled(class int) *Buffer {
	if b, ok := bufferPools[class].Get().(*Buffer); ok {
		return b
	}
	return &Buffer{B: make([]byte, 0, classSize(class)), class: int8(class)}
}

// Release gives the buffer back. Releasing nil does nothing. A buffer whose
// slice was replaced by a larger one goes to the class that it now fills.
func (b *Buffer) Release() {
	if b == nil {
		return
	}
	if b.sheaf != nil {
		b.B = nil
		b.sheaf.release(1)
		return
	}
	if b.listed {
		clear(b.pieces[:])
		b.listed = false
	}
	b.refile()
	if b.lent() && shelves.takeBack(b) {
		return
	}
	if b.class >= 0 {
		bufferPools[b.class].Put(b)
	}
}

// newBriefBuffer is NewBuffer for the moment of a read, or of gathering small
// frames. Such buffers are few, and taken often: they are left to the pool,
// which takes no lock.
func newBriefBuffer(n int) *Buffer {
	if class := classFor(n); class < numClasses {
		return pooled(class)
	}
	return NewBuffer(n)
}

// refile finds the class of a buffer whose slice may have been replaced, and
// empties it.
func (b *Buffer) refile() {
	c := cap(b.B)
	if b.class < 0 || c != classSize(int(b.class)) {
		b.class = -1
		if c < classSize(0) || c > classSize(numClasses-1) {
			return
		}
		class := bits.Len(uint(c-classSlack)) - 1 - minClassBits
		b.class = int8(class)
		b.B = b.B[:0:classSize(class)]
	}
	b.B = b.B[:0]
}

// size returns how many bytes the buffer holds; none for nil.
func (b *Buffer) size() int {
	if b == nil {
		return 0
	}
	return len(b.B)
}

// grow returns a buffer with the contents of b and room for n bytes, releasing
// b when another took its place.
func (b *Buffer) grow(n int) *Buffer {
	if cap(b.B) >= n {
		return b
	}
	g := NewBuffer(n)
	g.B = append(g.B, b.B...)
	b.Release()
	return g
}
