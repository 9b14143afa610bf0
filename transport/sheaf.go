package transport

import (
	"sync"
	"sync/atomic"
)

const (
	// sheafBodies and sheafRoom bound what a sheaf holds: that much is kept while
	// any request in it is being served.
	sheafBodies = 16
	sheafRoom   = 2 << 10
	// sheafBody is the largest body that goes into one.
	sheafBody = 256
)

// sheaf holds the small bodies of requests that one read brought. They are
// taken up one after the other, so they lie beside each other: a buffer for each
// would have to be fetched from a place of its own. The reader fills it, and
// whoever releases the last of its bodies gives it back.
type sheaf struct {
	held   atomic.Int32 // bodies that are not released; while it is being filled, as if all were in it, and one more
	filled int          // bodies in it, the reader's
	used   int          // bytes of room, the reader's
	bodies [sheafBodies]Buffer
	room   [sheafRoom]byte
}

var sheaves = sync.Pool{New: func() any { return new(sheaf) }}

// bind copies a body of at most sheafBody bytes into the sheaf being filled.
func (in *inbound) bind(b []byte) *Buffer {
	if f := in.sheaf; f != nil && (f.filled == sheafBodies || f.used+len(b) > sheafRoom) {
		in.closeSheaf()
	}
	f := in.sheaf
	if f == nil {
		f = sheaves.Get().(*sheaf)
		f.filled, f.used = 0, 0
		f.held.Store(sheafBodies + 1) // so that no body costs a change of it
		in.sheaf = f
	}
	body := &f.bodies[f.filled]
	to := f.used + len(b)
	body.B, body.class, body.sheaf = f.room[f.used:to:to], -1, f
	copy(body.B, b)
	f.filled++
	f.used = to
	return body
}

// closeSheaf adds nothing more to the sheaf being filled, if there is one.
func (in *inbound) closeSheaf() {
	if f := in.sheaf; f != nil {
		in.sheaf = nil
		f.release(sheafBodies - f.filled + 1)
	}
}

func (f *sheaf) release(n int) {
	if f.held.Add(int32(-n)) == 0 {
		sheaves.Put(f)
	}
}
