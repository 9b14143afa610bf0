package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

const (
	// readRoom is what one read may bring: a thousand small frames.
	readRoom = 64 << 10
	// idleRoom is what a connection holds while it waits, when it cannot tell
	// that there is something to read before it is given room.
	idleRoom = 2 << 10
	// aheadRoom is read behind the rest of a large body, for the next header:
	// enough for many small frames, little to copy when it is a body again.
	aheadRoom = 4 << 10
	// directBody is from what rest on a body is read to where it belongs.
	directBody = 8 << 10
	// firstBodyRoom is what a large body gets before its bytes are there; room
	// grows with what arrives. A peer that has sent a large body whole before
	// gets that much at once, up to provenRoom.
	firstBodyRoom = 16 << 10
	provenRoom    = 64<<10 + classSlack
)

// inbound is the state of the read loop. Only the reader touches it.
type inbound struct {
	buf     *Buffer // lent while it holds bytes or a read is under way
	r, w    int     // buf.B[r:w] are unread bytes
	carry   []byte  // what is left of buf while the session waits, of its own size
	arrived time.Time
	aged    time.Duration // pause to be taken off what is read next
	behind  time.Duration // served on the reader since the socket was last empty

	busy   bool  // what was read last came soon after what came before
	small  bool  // reads have been short: wait with idleRoom
	begun  bool  // the first frame has come
	beside int32 // bytes of room that the request needs beside its body
	head   protocol.Header
	heads  protocol.HeaderReader
	ticket any     // of Handler.Admit, for the request that head is of
	body   *Buffer // being filled
	sheaf  *sheaf  // of small bodies, while a read is worked up; nil: none was needed
	left   int     // bytes that body lacks
	skip   int     // bytes of a body that nobody wants
	held   int     // bytes of room taken for body while it grows
	proven int     // the largest body that came whole, up to provenRoom
	frames uint64  // completed
	fault  error   // found while handing over a batch, or read with the last bytes: ends the session

	batch *readBatch // lent while something is in it
	short *shortage  // nil until there was one
}

// readBatch is what the frames of one read brought.
type readBatch struct {
	tasks   []inTask
	replies [repliesAtOnce]inReply // small ones, whose bodies are in the read buffer
	waiting int                    // replies[:waiting] are to be handed over
	calls   [repliesAtOnce]*call
}

// repliesAtOnce is how many small replies are looked up under one lock, and
// their callers woken together: more would hold the lock longer and leave the
// callers idle meanwhile.
const repliesAtOnce = 16

type inReply struct {
	header protocol.Header
	body   []byte
}

type inTask struct {
	seq  uint64
	task Task
	size int
}

var readBatches = sync.Pool{New: func() any { return new(readBatch) }}

func (in *inbound) lendBatch() *readBatch {
	if in.batch == nil {
		in.batch = readBatches.Get().(*readBatch)
	}
	return in.batch
}

// readLoop is the reader: it decodes every frame that one read brought before
// it blocks again.
func (s *Session) readLoop() {
	left := false // somebody else is the reader, and is waited for in place of this one
	defer func() {
		if !left {
			s.wg.Done()
		}
	}()
	s.in.heads.Intern = s.cfg.Intern
	err := s.readFrames(&left)
	if left {
		return
	}
	s.in.release(s)
	s.endReading(err)
	if s.cfg.OnEnd != nil {
		s.cfg.OnEnd(s, s.Cause())
	}
}

func (s *Session) readFrames(left *bool) error {
	for {
		for {
			again, err := s.step()
			if err != nil {
				s.deliver()
				return err
			}
			if !again {
				break
			}
		}
		switch who := s.handOver(); {
		case who == theReader && s.in.behind < mostBehind:
			if s.serveHere(left) {
				return nil
			}
		case who != nobody:
			s.wakeWorker()
		}
		if s.in.fault != nil {
			return s.in.fault
		}
		if eased := s.queue.ahead(); eased != nil {
			<-eased // the workers come to it even when the session has ended
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// endReading ends the session for the reason that reading ended.
func (s *Session) endReading(err error) {
	s.mu.Lock()
	drained := s.goneAway.Load() || s.peerGone
	closing := s.out.closeWrite || s.out.halfClosed
	s.mu.Unlock()
	switch {
	case errors.Is(err, io.EOF) && drained:
		s.fail(errDrained)
	case errors.Is(err, net.ErrClosed) && drained && closing:
		s.fail(errDrained) // a WebSocket that was closed as CloseWrite does it, with nothing left to say
	case isPeerFault(err):
		s.farewell(err)
	case errors.Is(err, io.EOF):
		s.fail(io.EOF)
	default:
		s.fail(err)
	}
}

func isPeerFault(err error) bool {
	return errors.Is(err, protocol.ErrMalformed) || errors.Is(err, protocol.ErrVersion) ||
		errors.Is(err, protocol.ErrBadMagic) || errors.Is(err, errOversized)
}

// fill waits for bytes. An error that comes with some is the session's fault once they
// have been worked up.
func (s *Session) fill() error {
	in := &s.in
	in.stow()
	if in.body == nil {
		in.head, in.ticket = protocol.Header{}, nil // an idle connection keeps nothing of what came last
	}
	s.frame.watch(s, in)
	var asked time.Time
	if in.behind > 0 && !s.sock.lazy { // else readNothing says when the socket is empty
		asked = time.Now()
	}
	n, err := s.sock.read(s)
	if n > 0 {
		in.arrived = time.Now()
		if !asked.IsZero() && in.arrived.Sub(asked) > emptyFor {
			in.behind = 0
		}
		heard := in.arrived.Sub(began)
		in.busy = heard-time.Duration(s.heard.Load()) < busyFor
		s.heard.Store(int64(heard))
		processHeadroom.moved(n, heard)
		s.read.Add(uint64(n))
		in.arrived = in.arrived.Add(-in.aged)
		in.aged = 0
		in.took(n)
		in.fault, err = err, nil
	}
	return err
}

// stow gives the read buffer back before the reader waits, keeping a partial
// frame in a buffer of its own size.
func (in *inbound) stow() {
	if in.buf == nil {
		return
	}
	in.carry = nil
	if in.r < in.w {
		in.carry = append([]byte(nil), in.buf.B[in.r:in.w]...)
	}
	in.buf.Release()
	in.buf, in.r, in.w = nil, 0, 0
}

// readRoom returns the buffers for a read: the rest of a large body, if one
// is being read, and the read buffer with what was carried over in front.
func (s *Session) readRoom() [][]byte {
	in := &s.in
	size := readRoom
	if in.small && !s.sock.lazy {
		size = idleRoom
	}
	direct := in.direct()
	if direct > 0 {
		size = aheadRoom
	}
	in.buf = newBriefBuffer(max(size, len(in.carry)+classSlack)) // a whole header always fits
	in.buf.B = append(in.buf.B, in.carry...)
	in.w = len(in.carry)
	bufs := in.buf.list()
	if direct > 0 {
		have := len(in.body.B)
		bufs = append(bufs, in.body.B[have:have+direct])
	}
	return append(bufs, in.buf.B[in.w:cap(in.buf.B)])
}

// direct returns how many bytes of the next read go to the body at once.
func (in *inbound) direct() int {
	if in.body == nil || in.left < directBody {
		return 0
	}
	return min(in.left, cap(in.body.B)-len(in.body.B))
}

// readNothing gives the buffer back: there was nothing to read after all.
func (s *Session) readNothing() {
	in := &s.in
	in.buf.Release()
	in.buf, in.r, in.w = nil, 0, 0
	in.behind = 0
}

// took books the n bytes that a read brought.
func (in *inbound) took(n int) {
	in.small = n < idleRoom
	if direct := min(n, in.direct()); direct > 0 {
		in.body.B = in.body.B[:len(in.body.B)+direct]
		in.left -= direct
		n -= direct
	}
	in.carry = nil
	in.w += n
	in.buf.B = in.buf.B[:in.w]
}

// step handles the next thing in the read buffer, false when it lacks bytes.
func (s *Session) step() (again bool, err error) {
	in := &s.in
	switch {
	case in.skip > 0:
		n := min(in.skip, in.w-in.r)
		in.r += n
		in.skip -= n
		return in.skip == 0, nil
	case in.left > 0:
		if !s.fillBody() {
			s.refuse(&in.head, s.noRoom())
			in.skip = in.left
			in.dropBody(s)
			s.refusedGrowth()
			return true, nil
		}
		return in.left == 0, nil
	case in.body != nil:
		return true, s.bodyDone()
	}
	return s.nextFrame()
}

// fillBody copies what the read buffer has of the body, and leaves room for
// more; false when there is no room.
func (s *Session) fillBody() bool {
	in := &s.in
	for in.left > 0 {
		have := len(in.body.B)
		if cap(in.body.B) == have && !in.growBody(s) {
			return false
		}
		if in.r == in.w {
			return true
		}
		n := min(in.left, in.w-in.r, cap(in.body.B)-have)
		in.body.B = append(in.body.B, in.buf.B[in.r:in.r+n]...)
		in.r += n
		in.left -= n
	}
	return true
}

// growBody makes room for more of the body: four times what has arrived, and
// never more than was declared. A reply needs no room of the Room, nor does a body
// that is all there: it is a whole one's in a moment.
func (in *inbound) growBody(s *Session) bool {
	have := len(in.body.B)
	want := min(have+in.left, 4*have)
	if in.head.MessageType != protocol.TypeResponse && in.left > in.w-in.r {
		n := need{grow: want, held: in.held, whole: have + in.left}
		if !s.cfg.Room.takePartial(n) && (!s.waitToGrow(n) || !s.cfg.Room.takePartial(n)) {
			return false
		}
		in.held = want
	}
	in.body = in.body.grow(want)
	return true
}

// dropBody lets go of the body being read.
func (in *inbound) dropBody(s *Session) {
	s.cfg.Room.givePartial(in.held, in.body.size()+in.left)
	in.body.Release()
	in.body, in.left, in.held = nil, 0, 0
}

// nextFrame parses a prefix and a header and decides what becomes of the body.
func (s *Session) nextFrame() (again bool, err error) {
	in := &s.in
	var data []byte
	if in.buf != nil {
		data = in.buf.B[in.r:in.w]
	}
	p, ok, err := protocol.ParsePrefix(data)
	if err != nil || !ok || len(data) < protocol.PrefixLen+p.HeaderLen {
		return false, err
	}
	if err := in.heads.Parse(data[protocol.PrefixLen:protocol.PrefixLen+p.HeaderLen], &in.head); err != nil {
		return false, err
	}
	in.r += protocol.PrefixLen + p.HeaderLen
	in.frames++
	return true, s.dispatch(p)
}

// dispatch routes a frame by its header.
func (s *Session) dispatch(p protocol.Prefix) error {
	in := &s.in
	h := &in.head
	first := !in.begun
	in.begun = true
	size := p.HeaderLen + p.BodyLen
	switch h.MessageType {
	case protocol.TypeRequest, protocol.TypeOneway:
		return s.onRequest(h, p.BodyLen, size)
	case protocol.TypeResponse:
		return s.onResponse(h, p.BodyLen, size)
	case protocol.TypeHeartbeat:
		s.onHeartbeat(h)
	case protocol.TypeCancel:
		s.onCancel(h)
	case protocol.TypeGoAway:
		s.onGoAway(h)
	case protocol.TypeHello:
		if !first {
			return fmt.Errorf("%w: a hello that is not the first frame", protocol.ErrMalformed)
		}
		if err := s.onHello(h); err != nil {
			return err
		}
	default:
		s.stats.UnknownType.Add(1)
	}
	return s.skipBody(p.BodyLen, size)
}

// errOversized ends a session whose peer sends more than four times what this
// side takes: skipping so much serves nobody.
var errOversized = errors.New("transport: a frame more than four times too large")

// skipBody passes over a body that nobody wants.
func (s *Session) skipBody(bodyLen, size int) error {
	in := &s.in
	in.skip = bodyLen
	if size/4 > s.maxMessage() {
		return fmt.Errorf("%w: %d bytes, at most %d are taken", errOversized, size, s.maxMessage())
	}
	return nil
}

// wantBody starts to take in a body of n bytes.
func (s *Session) wantBody(n int) {
	in := &s.in
	first := n
	in.held = 0
	if n > firstBodyRoom {
		first = firstBodyRoom
		more := min(n, in.proven)
		if more > first && (in.head.MessageType == protocol.TypeResponse || s.cfg.Room.takePartial(need{grow: more, whole: n})) {
			first = more
			if in.head.MessageType != protocol.TypeResponse {
				in.held = more
			}
		}
	}
	in.body, in.left = NewBuffer(first), n
}

func (s *Session) bodyDone() error {
	in := &s.in
	body := in.body
	in.body = nil
	in.proven = max(in.proven, min(len(body.B), provenRoom))
	s.cfg.Room.givePartial(in.held, len(body.B))
	in.held = 0
	if in.head.MessageType == protocol.TypeResponse {
		s.completeCall(&in.head, body, nil)
		return nil
	}
	return s.accept(&in.head, body)
}

// onResponse finds the call that a response answers.
func (s *Session) onResponse(h *protocol.Header, bodyLen, size int) error {
	in := &s.in
	if size > s.maxMessage() || h.Flags&protocol.FlagsCritical != 0 {
		s.completeCall(h, nil, s.unusable(h, size))
		return s.skipBody(bodyLen, size)
	}
	if bodyLen <= in.w-in.r && bodyLen <= callRoom {
		in.frames++
		in.r += bodyLen
		b := in.lendBatch()
		b.replies[b.waiting] = inReply{*h, in.buf.B[in.r-bodyLen : in.r]}
		if b.waiting++; b.waiting == repliesAtOnce {
			s.completeSmall(b)
		}
		return nil
	}
	s.mu.Lock()
	_, waited := s.waiting(h.Seq)
	s.mu.Unlock()
	if !waited {
		s.stats.StrayResponses.Add(1)
		return s.skipBody(bodyLen, size)
	}
	s.wantBody(bodyLen)
	return nil
}

// waiting returns the call that a response with seq answers, with s.mu held:
// none whose frame has not left, since nobody can answer that.
func (s *Session) waiting(seq uint64) (c *call, ok bool) {
	c, ok = s.pending.get(seq)
	return c, ok && !s.out.holds(c)
}

// unusable says why a response cannot be used.
func (s *Session) unusable(h *protocol.Header, size int) *protocol.Error {
	if size > s.maxMessage() {
		s.stats.OversizedReplies.Add(1)
		return protocol.Errorf(protocol.ResourceExhausted, "the reply has %d bytes; this side takes %d (MaxMessageSize)", size, s.maxMessage()).WithOutcome(protocol.Ran)
	}
	return protocol.Errorf(protocol.Unimplemented, "the reply has critical flags %#x that this side does not know", uint32(h.Flags)).WithOutcome(protocol.Ran)
}

// completeSmall hands the small replies of a batch to their calls.
func (s *Session) completeSmall(b *readBatch) {
	s.mu.Lock()
	s.answered = true
	for i := range b.waiting {
		b.calls[i] = s.takeWaiting(b.replies[i].header.Seq)
	}
	s.mu.Unlock()
	for i := range b.waiting {
		c, reply := b.calls[i], &b.replies[i]
		if c == nil {
			s.stats.StrayResponses.Add(1)
			continue
		}
		c.room = append(c.room[:0], reply.body...)
		c.reply.Header, c.reply.Body = reply.header, c.room
		c.finish()
	}
	clear(b.calls[:b.waiting])
	clear(b.replies[:b.waiting])
	b.waiting = 0
}

// completeCall hands a response with a body of its own, or what is wrong with
// it, to its call. It takes the body over.
func (s *Session) completeCall(h *protocol.Header, body *Buffer, err *protocol.Error) {
	s.mu.Lock()
	s.answered = true
	c := s.takeWaiting(h.Seq)
	s.mu.Unlock()
	if c == nil {
		s.stats.StrayResponses.Add(1)
		body.Release()
		return
	}
	c.reply.Header, c.reply.lent, c.err = *h, body, err
	if body != nil {
		c.reply.Body = body.B
	}
	c.finish()
}

// takeWaiting returns the call that a response with seq answers, with s.mu held;
// nil when nobody asked, or who asked gave up.
func (s *Session) takeWaiting(seq uint64) *call {
	c, ok := s.waiting(seq)
	if !ok {
		return nil
	}
	s.takePending(c)
	if c.place.large {
		s.out.disown(c) // a peer that answers before it has the whole request
	}
	return c
}

// deliver hands over what the frames of one read brought, and wakes a worker for the
// tasks among it.
func (s *Session) deliver() {
	if s.handOver() != nobody {
		s.wakeWorker()
	}
}

// wakeWorker wakes a worker for what waits, if nobody is awake.
func (s *Session) wakeWorker() {
	if s.queue.needWorker() {
		s.cfg.Workers.Go(s.work)
	}
}

// handOver hands over what the frames of one read brought: answers to callers,
// tasks to the queue, and what was queued for the peer to the socket. It returns who
// must look at the queue now.
func (s *Session) handOver() server {
	s.in.closeSheaf()
	b := s.in.batch
	s.in.batch = nil
	if b != nil && b.waiting > 0 {
		s.completeSmall(b)
	}
	s.mu.Lock()
	if b != nil {
		s.enter(b)
	}
	waiting := s.pending.len() > 0
	s.afterCall()
	s.unlockAndFlush(false)
	if b == nil {
		return nobody
	}
	who := s.queue.push(b.tasks, s.in.busy)
	if who == theReader && waiting {
		who = aWorker // who else would read the answers that this side waits for?
	}
	clear(b.tasks)
	b.tasks = b.tasks[:0]
	readBatches.Put(b)
	return who
}

// release lets go of everything that was lent to the reader.
func (in *inbound) release(s *Session) {
	in.buf.Release()
	in.dropBody(s)
	in.buf, in.carry = nil, nil
}
