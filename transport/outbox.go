package transport

import (
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

const (
	// largeBody is from where on a body is written from where it lies rather
	// than copied beside its header: below, a copy costs less than a longer
	// list of slices for the kernel.
	largeBody = 16 << 10
	// smallRoom is the size of the buffer in which small frames are gathered.
	smallRoom = 64 << 10
	// largeTogether is how many bytes of large frames one write takes, and
	// largeAtOnce how many frames: fewer calls of the kernel, and a small frame
	// still waits no longer than for one frame of that size.
	largeTogether = 256 << 10
	largeAtOnce   = 4
	// reserveSize is room beyond MaxQueued for what the reader itself sends:
	// heartbeat answers, refusals and cancels.
	reserveSize = 64 << 10
	// allGiven tells outcome that every byte of the batch in progress must be
	// taken as given to the socket.
	allGiven = int(^uint(0) >> 1)
)

// outbox is what waits to be written on a session: small frames gathered in one
// buffer, and large ones whose body is written from where it lies. A batch is
// all the small frames and one large one, or several that together are no more
// than largeTogether: so a small frame waits for one large frame at most, or for
// as much. The session's mu guards it.
type outbox struct {
	small    *Buffer // lent while frames are in it
	large    []largeFrame
	epoch    uint64       // of the batch being gathered
	dead     []span       // small frames that were taken back
	notifies []*call      // oneways to be told when this batch is written
	queued   int          // bytes, of the batch in progress too, reserve not counted
	granted  int          // bytes promised to waiters that have not yet queued them
	reserved int          // bytes of the reserve in use
	waiters  []*outWaiter // frames without room: see queueReply
	replies  int          // how many of them are replies, which others do not overtake

	busy       bool  // somebody holds the right to write
	corked     bool  // who holds it waits for more to write, see Session.cork
	current    batch // in progress; its rest, when a write stopped half-way
	closeWrite bool  // half-close when everything is written
	halfClosed bool  // that has been done
}

type span struct{ from, to int }

type largeFrame struct {
	head *Buffer
	body *Buffer
	call *call // nil for a reply, and when the call ended while the frame was in a batch
	tell bool  // a oneway: tell call when written
	idle bool  // its call ended: nobody waits for it
}

func (f *largeFrame) size() int { return len(f.head.B) + len(f.body.B) }

func (f *largeFrame) release() {
	f.head.Release()
	f.body.Release()
}

// batch is what one write takes.
type batch struct {
	small    *Buffer
	large    []largeFrame
	notifies []*call
	size     int  // bytes in all
	written  int  // bytes that the socket took
	charged  int  // to be taken off queued
	reserved int  // to be taken off reserved
	shifted  bool // frames were taken back: positions are not exact
	stalled  bool // the socket was full: what is left is to be waited for
}

func (b *batch) empty() bool { return b.size == 0 }

// outWaiter is a frame that waits for room in the outbox.
type outWaiter struct {
	size      int
	reply     bool          // else a call's
	behind    int           // of a reply: bytes that were queued when it came
	overtaken int           // bytes of replies that went before a call, which had waited longest
	granted   chan struct{} // closed when size was charged for it, or the session ended
}

// overtake lets a reply of size bytes go before the call w: as many as the queue
// holds may, so that a call which needs much room has its turn where replies never
// end.
func (w *outWaiter) overtake(size, limit int) bool {
	if w.overtaken >= limit {
		return false
	}
	w.overtaken += size
	return true
}

// fits reports whether size more bytes may be queued. An empty outbox takes
// anything: MaxMessageSize has had its say.
func (o *outbox) fits(size, limit int) bool {
	held := o.queued + o.granted
	return held == 0 || held+size <= limit
}

// takesReply reports whether a reply of size bytes may be queued now: where there is
// room for it, it goes before the calls that wait.
func (o *outbox) takesReply(size, limit int) bool {
	return o.replies == 0 && o.fits(size, limit) && (len(o.waiters) == 0 || o.waiters[0].overtake(size, limit))
}

// queueReply has the reply w wait behind the replies that wait, and before the calls,
// which may wait for longer than a reply has. Calls are first come, first served.
func (o *outbox) queueReply(w *outWaiter, limit int) {
	at := slices.IndexFunc(o.waiters, func(other *outWaiter) bool { return !other.reply })
	switch {
	case at < 0:
		at = len(o.waiters)
	case !o.waiters[at].overtake(w.size, limit): // that call's turn comes first
		for at++; at < len(o.waiters) && o.waiters[at].reply; at++ {
		}
	}
	w.behind = o.queued + o.granted
	o.waiters = slices.Insert(o.waiters, at, w)
	o.replies++
}

// beingTaken reports whether the peer may still be taking what the reply w has waited
// behind for so long: somebody writes, who ends the session where that makes no
// progress for WriteTimeout, and all that the queue held, or holds now, would not have
// been written at minBodyRate either.
func (o *outbox) beingTaken(w *outWaiter, waited time.Duration) bool {
	held := time.Duration(max(w.behind, o.queued+o.granted))
	return o.busy && !o.corked && waited < held*time.Second/minBodyRate
}

// headRoom is where the head of a frame that is no call's is made. Longer ones, with
// much metadata or error text, are allocated.
type headRoom [256]byte

// appendSmall adds a frame to the small ones, and returns where it stands.
func (o *outbox) appendSmall(head, body []byte) span {
	if o.small == nil {
		o.small = newBriefBuffer(smallRoom)
	}
	from := len(o.small.B)
	if need := from + len(head) + len(body); need > cap(o.small.B) {
		o.small = o.small.grow(need + need/2)
	}
	o.small.B = append(append(o.small.B, head...), body...)
	return span{from, len(o.small.B)}
}

// add queues a frame that its sender made room for. The head is copied; so is a
// body below largeBody, and a larger one is taken over. c is nil for replies; tell says that c
// waits for the frame to be written.
func (o *outbox) add(head []byte, body *Buffer, c *call, tell bool) {
	if body != nil && len(body.B) >= largeBody {
		own := NewBuffer(len(head))
		own.B = append(own.B, head...)
		o.queued += len(own.B) + len(body.B)
		o.large = append(o.large, largeFrame{head: own, body: body, call: c, tell: tell})
		if c != nil {
			c.place = place{epoch: o.epoch, large: true}
		}
		return
	}
	var b []byte
	if body != nil {
		b = body.B
	}
	at := o.appendSmall(head, b)
	o.queued += at.to - at.from
	if c != nil {
		c.place = place{epoch: o.epoch, span: at}
		if tell {
			o.notifies = append(o.notifies, c)
		}
	}
}

// addReserve queues a frame of the reader's own, false when the reserve is full.
func (o *outbox) addReserve(h *protocol.Header) bool {
	if o.reserved >= reserveSize {
		return false
	}
	var room headRoom
	at := o.appendSmall(protocol.AppendFrameHead(room[:0], h, 0), nil)
	o.reserved += at.to - at.from
	return true
}

// take starts a batch with what is queued, and at most that many large frames.
func (o *outbox) take(atOnce int) batch {
	b := batch{notifies: o.notifies, charged: o.queued, reserved: o.reserved}
	if o.small != nil {
		b.shifted = o.compact()
		b.small, o.small = o.small, nil
		b.size = len(b.small.B)
	}
	o.takeLarge(&b, atOnce)
	for i := range o.large { // these stay queued
		b.charged -= o.large[i].size()
	}
	o.notifies = nil
	o.epoch++
	return b
}

// takeLarge moves the large frames that have waited longest to b.
func (o *outbox) takeLarge(b *batch, atOnce int) {
	n, together := 0, 0
	for n < min(len(o.large), atOnce) {
		f := &o.large[n]
		if together += f.size(); n > 0 && together > largeTogether {
			break
		}
		if f.call != nil {
			f.call.place.taken = true
		}
		b.size += f.size()
		n++
	}
	b.large, o.large = o.large[:n:n], o.large[n:]
	if len(o.large) == 0 {
		o.large = nil
	}
}

// stall is for a batch that the socket did not take whole. Large frames of which
// it took nothing go back to where they waited: they can be taken back there,
// and small ones overtake them, but for those whose call has ended: they are
// dropped, since its cancel is a small one. Something stays, for the writer to wait
// with.
func (o *outbox) stall(b *batch) {
	b.stalled = true
	begun, at := 0, b.small.size()
	for begun < len(b.large) && at < b.written {
		at += b.large[begun].size()
		begun++
	}
	if begun == 0 && b.small == nil {
		begun = 1
	}
	waiting := b.large[begun:]
	if len(waiting) == 0 {
		return
	}
	var back []largeFrame
	for i := range waiting {
		f := &waiting[i]
		b.size -= f.size()
		if f.idle {
			f.release()
			continue
		}
		if f.call != nil {
			f.call.place.taken = false
		}
		b.charged -= f.size()
		back = append(back, *f)
	}
	o.large = append(back, o.large...)
	clear(waiting)
	b.large = b.large[:begun]
}

// compact removes the frames that were taken back, true when there were any.
func (o *outbox) compact() bool {
	if len(o.dead) == 0 {
		return false
	}
	slices.SortFunc(o.dead, func(a, b span) int { return a.from - b.from })
	kept, from := o.small.B[:0], 0
	for _, d := range o.dead {
		kept = append(kept, o.small.B[from:d.from]...)
		from = d.to
	}
	o.small.B = append(kept, o.small.B[from:]...)
	o.dead = o.dead[:0]
	return true
}

// slices returns what is left of the batch in progress as the kernel wants it.
func (o *outbox) slices() [][]byte {
	b := &o.current
	lender := b.small
	if lender == nil {
		lender = b.large[0].head
	}
	dst, skip := lender.list(), b.written
	add := func(p []byte) {
		if skip >= len(p) {
			skip -= len(p)
			return
		}
		dst = append(dst, p[skip:])
		skip = 0
	}
	if b.small != nil {
		add(b.small.B)
	}
	for _, f := range b.large {
		add(f.head.B)
		add(f.body.B)
	}
	return dst
}

// release returns the batch's buffers.
func (b *batch) release() {
	b.small.Release()
	b.small = nil
	for i := range b.large {
		b.large[i].release()
	}
	clear(b.large) // they share an array with those that still wait
	b.large = nil
}

// settle takes a finished batch off the books, lets waiters in, and returns the
// oneways that are now on the wire.
func (o *outbox) settle(b *batch, limit int) (told []*call) {
	o.queued -= b.charged
	o.reserved -= b.reserved
	told = b.notifies
	told = append(told, toldOf(b.large)...)
	b.release()
	o.current = batch{}
	o.admit(limit)
	return told
}

// admit charges room for those whose turn it is.
func (o *outbox) admit(limit int) {
	for len(o.waiters) > 0 && o.fits(o.waiters[0].size, limit) {
		w := o.waiters[0]
		o.waiters[0] = nil
		o.waiters = o.waiters[1:]
		o.granted += w.size
		close(w.granted)
	}
	if len(o.waiters) == 0 {
		o.waiters = nil
	}
}

// pendingWork reports whether a write is due.
func (o *outbox) pendingWork() bool {
	return (o.small != nil && len(o.small.B) > 0) || len(o.large) > 0 || !o.current.empty() || o.closeWrite
}

// place is where a call's frame stands.
type place struct {
	span  span
	epoch uint64
	large bool
	taken bool // large only: it is in a batch
}

// holds reports whether c's frame is in no batch yet.
func (o *outbox) holds(c *call) bool {
	p := &c.place
	return (p.large && !p.taken) || (!p.large && p.epoch >= o.epoch)
}

// outcome tells what is known of c's request when unsent bytes of the batch in
// progress were taken by the socket.
func (o *outbox) outcome(c *call, unsent int) protocol.Outcome {
	p := &c.place
	switch {
	case c.seq == 0 || o.holds(c):
		return protocol.NotSent
	case p.large:
		if begins, ok := o.current.begins(c); ok && unsent <= begins {
			return protocol.NotSent
		}
	case p.epoch == o.epoch-1 && !o.current.shifted && p.span.from >= unsent:
		return protocol.NotSent
	}
	return protocol.MaybeRun
}

// begins returns how many bytes of the batch stand before c's large frame.
func (b *batch) begins(c *call) (at int, ok bool) {
	at = b.small.size()
	for _, f := range b.large {
		if f.call == c {
			return at, true
		}
		at += f.size()
	}
	return 0, false
}

// disown makes the frame of c in the batch in progress nobody's, because c ends: it
// may serve another call, of another session even, before the batch is written.
func (o *outbox) disown(c *call) {
	for i := range o.current.large {
		if f := &o.current.large[i]; f.call == c {
			f.call, f.tell, f.idle = nil, false, true
		}
	}
}

// takeBack removes c's frame if it has not left yet, true when it could.
func (o *outbox) takeBack(c *call) bool {
	if !o.holds(c) {
		return false
	}
	if c.place.large {
		i := slices.IndexFunc(o.large, func(f largeFrame) bool { return f.call == c })
		f := o.large[i]
		o.queued -= f.size()
		f.release()
		o.large = slices.Delete(o.large, i, i+1)
		return true
	}
	o.dead = append(o.dead, c.place.span)
	o.notifies = slices.DeleteFunc(o.notifies, func(n *call) bool { return n == c })
	return true
}

// failNotifies gives the oneways that were not yet written their error.
func (o *outbox) failNotifies(s *Session, err error, unsent int) []*call {
	ended := append(o.notifies, o.current.notifies...)
	ended = append(ended, toldOf(o.current.large)...)
	ended = append(ended, toldOf(o.large)...)
	for _, c := range ended {
		c.err = s.lost(err, o.outcome(c, unsent))
	}
	o.notifies, o.current.notifies = nil, nil
	for i := range o.current.large {
		o.current.large[i].tell = false
	}
	o.large = nil // nobody writes them any more
	return ended
}

// unwritten returns how many callers wait for nothing but the socket: oneways, and
// those who have no room yet.
func (o *outbox) unwritten() int {
	return len(o.notifies) + len(o.current.notifies) + len(o.waiters) +
		len(toldOf(o.current.large)) + len(toldOf(o.large))
}

// toldOf returns the oneways of frames that are to be told when written.
func toldOf(frames []largeFrame) (calls []*call) {
	for _, f := range frames {
		if f.tell {
			calls = append(calls, f.call)
		}
	}
	return calls
}

func (o *outbox) failWaiters() {
	for _, w := range o.waiters {
		close(w.granted)
	}
	o.waiters = nil
}
