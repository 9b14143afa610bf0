package transport

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// Reply is the answer to a call as it arrived. Header and Body are lent until
// Release.
type Reply struct {
	Header protocol.Header
	Body   []byte

	call *call
	lent *Buffer // holds Body, where that is too large for the call's own room
}

// Release gives the reply's room back, once. Releasing nil does nothing.
func (r *Reply) Release() {
	if r != nil {
		r.call.free()
	}
}

// call is one exchange that this side opened, or a oneway until it is written.
// Its fields are handed over by who removes it from pending (or from the
// outbox's notifies): that one alone calls finish.
type call struct {
	s     *Session
	seq   uint64
	place place         // guarded by the session's mu
	done  chan struct{} // capacity 1
	timer *time.Timer   // calls expire; nil until a call had a deadline
	timed bool          // the timer was started for this call
	beat  bool          // it is a heartbeat

	reply Reply
	room  []byte // of the frame's head, and then of a small reply
	err   *protocol.Error
}

const (
	// callRoom is up to what size, in bytes, the room of a call is kept for the next,
	// and a reply stays in it.
	callRoom = 1<<10 + classSlack
	// firstCallRoom is what a call begins with: enough for most heads.
	firstCallRoom = 128
)

func (c *call) finish() { c.done <- struct{}{} }

func (s *Session) newCall() *call {
	c, ok := s.cfg.calls.Get().(*call)
	if !ok {
		c = &call{done: make(chan struct{}, 1), room: make([]byte, 0, firstCallRoom)}
		c.reply.call = c
	}
	c.s = s
	return c
}

// free makes the call ready for another, unless its timer may still be running.
func (c *call) free() {
	c.reply.lent.Release()
	cfg, running := c.s.cfg, c.timed && !c.timer.Stop()
	if running {
		return // expire looks at the call: let the collector have it
	}
	c.s, c.seq, c.place, c.timed, c.beat, c.err = nil, 0, place{}, false, false, nil
	c.reply = Reply{call: c}
	cfg.calls.Put(c)
}

// RoundTrip sends a request and waits for its response. It fills in h's Seq and
// Timeout, and takes body over. It never returns later than ctx or deadline (a
// zero deadline is none; a deadline of ctx itself is not looked at, its Done
// is).
//
// A response with a status other than OK is returned as a Reply, not as an
// error. The reply must be released. The error is a *protocol.Error with its
// outcome: Unavailable when the session cannot be used or was lost,
// DeadlineExceeded, Canceled, or ResourceExhausted when the request or its
// response is too large.
func (s *Session) RoundTrip(ctx context.Context, deadline time.Time, h *protocol.Header, body *Buffer) (*Reply, error) {
	c := s.newCall()
	if err := s.open(ctx, deadline, h, body, c); err != nil {
		c.free()
		return nil, err
	}
	if h.Timeout > 0 && !endsItself(ctx, deadline) {
		c.startClock(h.Timeout)
	}
	if gone := ctx.Done(); gone == nil { // a plain receive costs less than a select
		<-c.done
	} else {
		c.wait(ctx, gone)
	}
	if err := c.err; err != nil {
		c.free()
		return nil, err
	}
	return &c.reply, nil
}

// wait returns when the call has ended, which gone, the Done of ctx, makes it do.
func (c *call) wait(ctx context.Context, gone <-chan struct{}) {
	select {
	case <-c.done:
	case <-gone:
		c.s.abandon(c, contextError(ctx))
		<-c.done
	}
}

// Notify sends a oneway and waits until it is written to the socket. Arguments
// and errors are those of RoundTrip.
func (s *Session) Notify(ctx context.Context, deadline time.Time, h *protocol.Header, body *Buffer) error {
	reply, err := s.RoundTrip(ctx, deadline, h, body)
	reply.Release()
	return err
}

// Ping sends a heartbeat and waits for its answer.
func (s *Session) Ping(ctx context.Context, deadline time.Time) error {
	reply, err := s.RoundTrip(ctx, deadline, &protocol.Header{MessageType: protocol.TypeHeartbeat}, nil)
	reply.Release()
	return err
}

// open queues c's frame and writes what is due. What can be done before the
// session's lock is taken is done before.
func (s *Session) open(ctx context.Context, deadline time.Time, h *protocol.Header, body *Buffer, c *call) *protocol.Error {
	copied := body.size() < largeBody
	err := s.queueCall(ctx, deadline, h, body, c)
	if err != nil {
		body.Release()
		return err.WithOutcome(protocol.NotSent)
	}
	if copied {
		body.Release()
	}
	return nil
}

func (s *Session) queueCall(ctx context.Context, deadline time.Time, h *protocol.Header, body *Buffer, c *call) *protocol.Error {
	gone := s.goneAway.Load()
	if gone && !s.outlasts(ctx, h) {
		return leaving()
	}
	if s.serving.Load() {
		s.leaveToAnother() // who would read the answer?
	}
	h.Seq = s.seq.Add(1)
	// The room of a call that has just ended is warm; the stacks of many callers
	// are not.
	head, err := frameHead(c.room[:0], h, body, deadline)
	if err != nil {
		return err
	}
	if cap(head) <= callRoom {
		c.room = head
	}
	size := len(head) + body.size()
	s.mu.Lock()
	if !gone && s.goneAway.Load() { // meanwhile; the caller's context is not asked with the lock held
		s.mu.Unlock()
		return s.queueCall(ctx, deadline, h, body, c)
	}
	if err := s.openable(h, len(head), size); err != nil {
		s.mu.Unlock()
		return err
	}
	if !s.out.fits(size, s.maxQueued()) || len(s.out.waiters) > 0 {
		if err := s.waitForRoom(ctx, deadline, h, len(head), size); err != nil { // locks again on success
			return err
		}
		if head, err = frameHead(head[:0], h, body, deadline); err != nil {
			s.out.admit(s.maxQueued()) // what was promised to this call is another's now
			s.mu.Unlock()
			return err
		}
	}
	c.seq = h.Seq
	oneway := h.MessageType == protocol.TypeOneway
	if !oneway {
		s.pending.put(c.seq, c)
		if h.MessageType == protocol.TypeHeartbeat {
			c.beat = true
			s.beats++
		}
		if s.pausing {
			s.endPause() // the peer may be waiting for us to read its answer
		}
	}
	s.out.add(head, body, c, oneway)
	s.unlockAndFlush(s.pending.len() > 1)
	return nil
}

// outlasts reports whether a call may be opened though this side has said goaway.
func (s *Session) outlasts(ctx context.Context, h *protocol.Header) bool {
	return h.MessageType == protocol.TypeHeartbeat || FromContext(ctx) == s
}

// frameHead appends prefix and header of a call's frame, with the time that is
// left to it now. The error is that there is none.
func frameHead(dst []byte, h *protocol.Header, body *Buffer, deadline time.Time) ([]byte, *protocol.Error) {
	h.Timeout = 0
	if !deadline.IsZero() {
		if h.Timeout = time.Until(deadline); h.Timeout <= 0 {
			return nil, tooLate()
		}
	}
	return protocol.AppendFrameHead(dst, h, body.size()), nil
}

// openable says why no call can be opened, with s.mu held. The frame has size
// bytes, of which head are prefix and header.
func (s *Session) openable(h *protocol.Header, head, size int) *protocol.Error {
	switch {
	case s.err != nil:
		return s.lost(s.err, protocol.NotSent)
	case s.peerGone:
		return protocol.Draining(s.RemoteAddr().String() + " is going away").WithOutcome(protocol.NotSent)
	case head-protocol.PrefixLen > protocol.MaxHeaderLen:
		return protocol.Errorf(protocol.InvalidArgument, "%s: names and metadata are more than the %d bytes that a header may have",
			Quote(h.ServiceName, h.MethodName), protocol.MaxHeaderLen).WithOutcome(protocol.NotSent)
	case size-protocol.PrefixLen > s.PeerMaxMessage():
		return protocol.Errorf(protocol.ResourceExhausted, "%s.%s: a request of %d bytes; %s takes %d",
			h.ServiceName, h.MethodName, size-protocol.PrefixLen, s.RemoteAddr(), s.PeerMaxMessage()).WithOutcome(protocol.NotSent)
	}
	return nil
}

// waitForRoom waits its turn in the outbox. It is called with s.mu held and
// returns with it held on success. head and size are as openable has them.
func (s *Session) waitForRoom(ctx context.Context, deadline time.Time, h *protocol.Header, head, size int) *protocol.Error {
	w := &outWaiter{size: size, granted: make(chan struct{})}
	s.out.waiters = append(s.out.waiters, w)
	s.out.liftCork()
	s.unlockAndFlush(false)

	var late <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		late = t.C
	}
	var err *protocol.Error
	select {
	case <-w.granted:
	case <-ctx.Done():
		err = contextError(ctx)
	case <-late:
		err = tooLate()
	}
	outlasts := s.outlasts(ctx, h)
	s.mu.Lock()
	if s.err != nil {
		err = s.lost(s.err, protocol.NotSent)
	} else {
		s.out.leave(w)
	}
	if err == nil {
		err = s.openable(h, head, size)
	}
	if err == nil && s.goneAway.Load() && !outlasts {
		err = leaving()
	}
	if err != nil {
		s.out.admit(s.maxQueued()) // what was promised to w, or kept others behind it waiting, is theirs now
		s.mu.Unlock()
		return err.WithOutcome(protocol.NotSent)
	}
	return nil
}

// leave takes w out of the queue, or gives back what was promised to it.
func (o *outbox) leave(w *outWaiter) {
	for i, other := range o.waiters {
		if other == w {
			o.waiters = append(o.waiters[:i], o.waiters[i+1:]...)
			return
		}
	}
	o.granted -= w.size
}

// deadlineContext is the type of what context.WithDeadline and WithTimeout return.
var deadlineContext = func() reflect.Type {
	ctx, cancel := context.WithDeadline(context.Background(), time.Time{})
	cancel()
	return reflect.TypeOf(ctx)
}()

// endsItself reports whether ctx certainly ends at deadline, so that a call which
// waits for its Done needs no clock of its own. Other contexts may only say when
// they end: a type that has another Deadline than the one in it does.
func endsItself(ctx context.Context, deadline time.Time) bool {
	if reflect.TypeOf(ctx) != deadlineContext {
		return false
	}
	d, _ := ctx.Deadline()
	return d.Equal(deadline)
}

// startClock arms the call's deadline.
func (c *call) startClock(left time.Duration) {
	c.timed = true
	if c.timer == nil {
		c.timer = time.AfterFunc(left, c.expire)
	} else {
		c.timer.Reset(left)
	}
}

// expire ends the call at its deadline. The call is not reused while expire may
// run: see free.
func (c *call) expire() { c.s.abandon(c, tooLate()) }

// abandon ends c with err, unless it has ended already: its frame is taken back
// where it has not left yet, else the peer is told.
func (s *Session) abandon(c *call, err *protocol.Error) {
	s.mu.Lock()
	waiting, ok := s.pending.get(c.seq)
	oneway := !ok || waiting != c
	if oneway && !s.out.notifying(c) {
		s.mu.Unlock()
		return // answered, or lost with the session: whoever did that finishes c
	}
	outcome := protocol.MaybeRun
	switch {
	case s.out.takeBack(c):
		outcome = protocol.NotSent
		s.out.admit(s.maxQueued())
	case oneway:
		s.out.forget(c)
	case !s.out.addReserve(&protocol.Header{Seq: c.seq, MessageType: protocol.TypeCancel}):
		s.stats.DroppedHeartbeats.Add(1)
	}
	if !oneway {
		s.takePending(c)
	}
	s.out.disown(c)
	c.err = err.WithOutcome(outcome)
	s.afterCall()
	s.unlockAndFlush(false)
	c.finish()
}

// takePending takes c out of what waits for an answer, with s.mu held.
func (s *Session) takePending(c *call) {
	s.pending.take(c.seq)
	if c.beat {
		s.beats--
	}
}

// notifying reports whether the oneway c waits to be written.
func (o *outbox) notifying(c *call) bool {
	tells := func(f largeFrame) bool { return f.tell && f.call == c }
	return slices.ContainsFunc(o.current.large, tells) || slices.ContainsFunc(o.large, tells) ||
		slices.Contains(o.notifies, c) || slices.Contains(o.current.notifies, c)
}

// forget has nobody told when the small oneway c, which is being written, is
// written.
func (o *outbox) forget(c *call) {
	for i, n := range o.current.notifies {
		if n == c {
			o.current.notifies = append(o.current.notifies[:i:i], o.current.notifies[i+1:]...)
			return
		}
	}
}

func (s *Session) maxQueued() int { return cmp.Or(s.cfg.MaxQueued, DefaultMaxQueued) }

func (s *Session) maxMessage() int {
	return cmp.Or(s.cfg.MaxMessageSize, protocol.DefaultMaxMessageSize)
}

// leaving refuses what does not come from a handler of this session once this
// side has said goaway: the peer closes when it has nothing left, and would
// lose it.
func leaving() *protocol.Error {
	return &protocol.Error{Code: protocol.Unavailable, Message: "this side is leaving the connection", Elsewhere: true}
}

func tooLate() *protocol.Error {
	return protocol.NewError(protocol.DeadlineExceeded, "the deadline passed")
}

func contextError(ctx context.Context) *protocol.Error {
	cause := context.Cause(ctx)
	code := protocol.CodeOf(ctx.Err())
	text := fmt.Sprint(ctx.Err())
	if cause != nil && cause != ctx.Err() {
		text += ": " + cause.Error()
	}
	return protocol.NewError(code, text).WithCause(cause)
}
