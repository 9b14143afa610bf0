package transport

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// running is a task with what it holds of the Room.
type running struct {
	task Task
	size int
}

// onRequest decides on a request or oneway by its header, before its body is
// read.
func (s *Session) onRequest(h *protocol.Header, bodyLen, size int) error {
	s.in.beside = roomForHeader(h, size-bodyLen)
	if err := s.admit(h, bodyLen, size); err != nil {
		s.refuse(h, err)
		return s.skipBody(bodyLen, size)
	}
	if in := &s.in; bodyLen <= sheafBody && bodyLen <= in.w-in.r {
		in.r += bodyLen
		return s.accept(h, in.bind(in.buf.B[in.r-bodyLen:in.r]))
	}
	s.wantBody(bodyLen)
	return nil
}

func (s *Session) admit(h *protocol.Header, bodyLen, size int) error {
	switch {
	case size > s.maxMessage():
		s.stats.RefusedSize.Add(1)
		return s.tooLargeRequest(h, size)
	case h.Flags&protocol.FlagsCritical != 0:
		return unknownFlags(h)
	case s.goneAway.Load() && h.MessageType == protocol.TypeRequest:
		s.stats.RefusedDraining.Add(1)
		return protocol.Draining("shutting down")
	case s.cfg.Handler == nil:
		return servesNothing(h)
	}
	ticket, err := s.askHandler(h, bodyLen)
	if err != nil {
		return err
	}
	s.in.ticket = ticket
	if s.shareTaken() {
		return s.noShare()
	}
	if !s.waitRoom(bodyLen + int(s.in.beside)) {
		return s.noRoom()
	}
	return nil
}

const (
	// largeHeader is from what size on a header counts among the bytes in flight.
	largeHeader = 1 << 10
	// keyRoom is what one key of metadata takes beside its bytes.
	keyRoom = 64
)

// roomForHeader is what a header of n bytes takes of the room for bytes in flight:
// nothing, as a request's constant share, but where it is large.
func roomForHeader(h *protocol.Header, n int) int32 {
	if n < largeHeader {
		return 0
	}
	return int32(n + keyRoom*len(h.MetaData)) // a header is no more than protocol.MaxHeaderLen
}

// What follows says why admit refuses. It is kept out of admit's frame: the stack of
// its reader is most of what an idle connection costs, and twice as large as soon as
// it was once too small.

//go:noinline
func (s *Session) tooLargeRequest(h *protocol.Header, size int) error {
	return protocol.Errorf(protocol.ResourceExhausted, "%s: a request of %d bytes; this side takes %d (MaxMessageSize)", Quote(h.ServiceName, h.MethodName), size, s.maxMessage())
}

//go:noinline
func unknownFlags(h *protocol.Header) error {
	return protocol.Errorf(protocol.Unimplemented, "critical flags %#x are not known here", uint32(h.Flags))
}

//go:noinline
func servesNothing(h *protocol.Header) error {
	return protocol.Errorf(protocol.Unimplemented, "%s: this side serves nothing", Quote(h.ServiceName, h.MethodName))
}

func (s *Session) noShare() *protocol.Error {
	s.stats.RefusedRoom.Add(1)
	return &protocol.Error{Code: protocol.ResourceExhausted, Message: "too many requests of this connection in flight", Elsewhere: true}
}

// shareTaken reports whether as many requests of this session are being served as
// one may have. It runs on the reader, which alone makes them more. There is no
// pause: what one session lacks, the others have.
func (s *Session) shareTaken() bool {
	share := s.cfg.MaxRequests
	if share <= 0 {
		return false
	}
	s.mu.Lock()
	n := s.tasks.len()
	s.mu.Unlock()
	if s.in.batch != nil {
		n += len(s.in.batch.tasks)
	}
	return n >= share
}

// Quote returns "Service.Method" quoted and cut for an error message: names
// come from the peer.
func Quote(service, method string) string {
	return fmt.Sprintf("%.128q", service+"."+method)
}

// noRoom is the refusal of a request for which there is no room, and counts it.
func (s *Session) noRoom() *protocol.Error {
	s.stats.RefusedRoom.Add(1)
	return &protocol.Error{Code: protocol.ResourceExhausted, Message: "too many requests or bytes in flight", Elsewhere: true}
}

// askHandler calls Admit, and takes a panic in it for a refusal of this call.
func (s *Session) askHandler(h *protocol.Header, bodyLen int) (ticket any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.stats.PanickedAdmits.Add(1)
			log.Errorf("admission of %s panicked: %v\n%s", Quote(h.ServiceName, h.MethodName), p, stack())
			err = protocol.Errorf(protocol.Internal, "admission panicked: %v", p)
		}
	}()
	return s.cfg.Handler.Admit(context.Context(s), h, bodyLen)
}

// refuse answers a request that was not served. A oneway is only counted.
func (s *Session) refuse(h *protocol.Header, err error) {
	if h.MessageType == protocol.TypeOneway {
		s.stats.RefusedOneways.Add(1)
		return
	}
	s.stats.Refused.Add(1)
	answer := protocol.Header{Seq: h.Seq, MessageType: protocol.TypeResponse, SerializeType: h.SerializeType}
	protocol.ToResponse(&answer, err, true)
	head := protocol.AppendFrameHead(nil, &answer, 0)
	s.mu.Lock()
	if s.out.fits(len(head), s.maxQueued()) {
		s.out.add(head, nil, nil, false)
		s.mu.Unlock()
		return
	}
	placed := s.out.addReserve(&answer)
	s.mu.Unlock()
	if !placed {
		s.fail(fmt.Errorf("transport: %s does not read: no place for another refusal", s.RemoteAddr()))
	}
}

// accept takes a request whose body has arrived.
func (s *Session) accept(h *protocol.Header, body *Buffer) error {
	size := len(body.B) + int(s.in.beside)
	if !s.cfg.Room.take(1, size) && (!s.waitRoom(size) || !s.cfg.Room.take(1, size)) {
		s.refuse(h, s.noRoom())
		body.Release()
		return nil
	}
	var deadline time.Time
	if h.Timeout > 0 {
		deadline = s.in.arrived.Add(h.Timeout)
	}
	t := s.cfg.Handler.Accept(s, h, s.in.ticket, body, deadline)
	b := s.in.lendBatch()
	b.tasks = append(b.tasks, inTask{h.Seq, t, size})
	return nil
}

// enter makes the tasks of a batch known, with s.mu held. Those that cannot run
// are taken out of it: the session has ended, or their number is in use.
func (s *Session) enter(b *readBatch) {
	kept := b.tasks[:0]
	for _, t := range b.tasks {
		switch {
		case s.err != nil:
		case !s.tasks.put(t.seq, running{t.task, t.size}):
			s.in.fault = fmt.Errorf("%w: sequence number %d is in use already", protocol.ErrMalformed, t.seq)
		default:
			kept = append(kept, t)
			continue
		}
		s.cfg.Room.give(1, t.size)
	}
	s.entered += uint64(len(kept))
	clear(b.tasks[len(kept):])
	b.tasks = kept
}

// workLoop is a worker's turn on this session: it runs queued tasks until there
// are none.
func (s *Session) workLoop() {
	t, another := s.queue.pop(false)
	for t != nil {
		if another {
			s.cfg.Workers.Go(s.work)
		}
		t.Run()
		t, another = s.queue.pop(true)
	}
}

// Reply answers the request that h.Seq names and ends its task. It takes body
// over. It waits for room in the session's queue for at most WriteTimeout, and
// longer only while the queue is being written, for as long as all in it takes at
// 16 KiB/s. A reply that is larger than what the peer takes, or whose metadata is above
// protocol.MaxMetaSize, is replaced by ResourceExhausted. The error says why
// the reply did not go out; the session has ended then.
func (s *Session) Reply(h *protocol.Header, body *Buffer) error {
	h.MessageType = protocol.TypeResponse
	var room headRoom
	head := protocol.AppendFrameHead(room[:0], h, body.size())
	if err := s.unfit(h, len(head)-protocol.PrefixLen, body.size()); err != nil {
		s.stats.OversizedReplies.Add(1)
		*h = protocol.Header{Seq: h.Seq, MessageType: protocol.TypeResponse, SerializeType: h.SerializeType}
		protocol.ToResponse(h, err, false)
		body.Release()
		body = nil
		head = protocol.AppendFrameHead(room[:0], h, 0)
	}
	size := len(head) + body.size()
	s.mu.Lock()
	if s.err == nil && !s.out.takesReply(size, s.maxQueued()) {
		s.waitToReply(size)
	}
	s.endTask(h.Seq)
	if s.err != nil {
		err := s.err
		s.mu.Unlock()
		body.Release()
		return err
	}
	copied := body.size() < largeBody
	s.out.add(head, body, nil, false)
	s.afterCall()
	s.unlockAndFlush(s.tasks.len() > 0)
	if copied {
		body.Release()
	}
	return nil
}

// unfit says why a reply cannot travel. header and body are in bytes.
func (s *Session) unfit(h *protocol.Header, header, body int) *protocol.Error {
	size := header + body
	if peerMax := s.PeerMaxMessage(); size > peerMax {
		return protocol.Errorf(protocol.ResourceExhausted,
			"the method answered, but its reply of %d bytes is more than the %d that the caller takes", size, peerMax)
	}
	if len(h.MetaData) > 0 && (header > protocol.MaxHeaderLen || protocol.MetaSize(h.MetaData) > protocol.MaxMetaSize) {
		return protocol.Errorf(protocol.ResourceExhausted,
			"the method answered, but with metadata of %d bytes; at most %d travel", protocol.MetaSize(h.MetaData), protocol.MaxMetaSize)
	}
	return nil
}

// waitToReply waits for room in the outbox, with s.mu held before and after.
func (s *Session) waitToReply(size int) {
	w := &outWaiter{size: size, reply: true, granted: make(chan struct{})}
	s.out.queueReply(w, s.maxQueued())
	s.out.liftCork()
	s.unlockAndFlush(false)
	s.leaveToAnother() // it is the peer that takes long
	s.awaitTurn(w)
	s.mu.Lock()
	s.out.replies--
	if s.err == nil {
		s.out.leave(w)
	}
}

// awaitTurn returns when the reply w has its room, or the session has ended. It ends
// the session when WriteTimeout passes without any, unless it is what the peer takes
// that takes so long.
func (s *Session) awaitTurn(w *outWaiter) {
	limit := cmp.Or(s.cfg.WriteTimeout, DefaultWriteTimeout)
	t := time.NewTimer(limit)
	defer t.Stop()
	for waited := limit; ; waited += limit {
		select {
		case <-w.granted:
			return
		case <-t.C:
		}
		s.mu.Lock()
		taken := s.out.beingTaken(w, waited)
		s.mu.Unlock()
		select {
		case <-w.granted: // at the last moment
			return
		default:
		}
		if !taken {
			s.fail(fmt.Errorf("transport: %s takes no replies: no room for one in %v", s.RemoteAddr(), waited))
			return
		}
		t.Reset(limit)
	}
}

// Finish ends the task of a oneway.
func (s *Session) Finish(seq uint64) {
	s.mu.Lock()
	s.endTask(seq)
	s.afterCall()
	s.unlockAndFlush(false)
}

// endTask forgets a task and gives its room back, with s.mu held.
func (s *Session) endTask(seq uint64) {
	r, ok := s.tasks.take(seq)
	if !ok {
		return
	}
	s.cfg.Room.give(1, r.size)
	if s.err != nil && s.tasks.len() == 0 {
		s.cfg.spared.remove(s)
	}
}

// onCancel tells the task that its caller has gone.
func (s *Session) onCancel(h *protocol.Header) {
	s.mu.Lock()
	r, ok := s.tasks.get(h.Seq)
	s.mu.Unlock()
	if !ok {
		ok = s.cancelBatched(h.Seq)
	}
	if !ok {
		s.stats.StrayCancels.Add(1)
		return
	}
	if r.task != nil {
		r.task.Cancel(context.Canceled)
	}
}

// cancelBatched cancels a request that came with the same read.
func (s *Session) cancelBatched(seq uint64) bool {
	if s.in.batch == nil {
		return false
	}
	for _, t := range s.in.batch.tasks {
		if t.seq == seq {
			t.task.Cancel(context.Canceled)
			return true
		}
	}
	return false
}
