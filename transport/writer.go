package transport

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// unlockAndFlush releases s.mu and, when a write is due and nobody writes,
// writes one batch as far as the socket takes it without blocking. yield lets
// the goroutines that are about to queue frames of their own do so first, so
// that one write carries them all.
//
// What remains, and what was queued meanwhile, belongs to the writer: so no
// caller is held in the write of another's frames.
func (s *Session) unlockAndFlush(yield bool) {
	if s.out.queued >= corkRoom {
		s.out.liftCork()
	}
	if s.err != nil || s.out.busy || !s.out.pendingWork() {
		s.mu.Unlock()
		return
	}
	s.out.busy = true
	if s.sock.try == nil {
		s.startWriter()
		s.mu.Unlock()
		return
	}
	if yield {
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	if !s.nextBatch() {
		s.mu.Unlock()
		return
	}
	if s.out.current.empty() { // only a half-close is left, which may block
		s.startWriter()
		s.mu.Unlock()
		return
	}
	bufs := s.out.slices()
	s.mu.Unlock()

	n, err := s.sock.try(bufs)

	s.mu.Lock()
	told, ok := s.wrote(n, err)
	if ok {
		if s.out.pendingWork() {
			s.startWriter()
		} else {
			s.out.busy = false
		}
		s.mu.Unlock()
	}
	finishAll(told)
}

func finishAll(calls []*call) {
	for _, c := range calls {
		c.finish()
	}
}

// startWriter hands the right to write to the writer, with s.mu held.
func (s *Session) startWriter() {
	s.wg.Add(1)
	go s.writeLoop()
}

// writeLoop writes until nothing is queued. It holds the right to write.
func (s *Session) writeLoop() {
	defer s.wg.Done()
	for {
		runtime.Gosched()
		s.mu.Lock()
		if !s.nextBatch() {
			s.mu.Unlock()
			return
		}
		if s.out.current.empty() {
			s.mu.Unlock()
			s.halfClose()
			continue
		}
		bufs := s.out.slices()
		s.mu.Unlock()

		n, err := s.writeBatch(bufs)

		s.mu.Lock()
		told, ok := s.wrote(n, err)
		if ok {
			s.mu.Unlock()
		}
		finishAll(told)
		if !ok {
			return
		}
	}
}

// nextBatch makes sure that a batch is in progress, with s.mu held. It gives up
// the right to write and returns false when there is nothing to do; an empty
// batch in progress means that the write half is to be closed.
func (s *Session) nextBatch() bool {
	o := &s.out
	if s.err != nil {
		o.busy = false
		return false
	}
	if !o.current.empty() {
		return true
	}
	if (o.small != nil && len(o.small.B) > 0) || len(o.large) > 0 {
		o.current = o.take(s.largeAtOnce())
		if !o.current.empty() {
			return true
		}
		o.settle(&o.current, s.maxQueued()) // every frame had been taken back
		s.afterCall()                       // which could not see that
	}
	if o.closeWrite {
		return true
	}
	o.busy = false
	return false
}

// wrote books what a write of the batch in progress came to, with s.mu held. It
// returns the oneways to be told; when the write failed it ends the session,
// has unlocked s.mu and returns false.
func (s *Session) wrote(n int, err error) (told []*call, ok bool) {
	b := &s.out.current
	b.written += n
	s.written += uint64(n)
	if n >= trafficSize {
		processHeadroom.moved(n, time.Since(began))
	}
	if err != nil {
		written := b.written
		s.out.busy = false
		s.failLocked(fmt.Errorf("write: %w", err), written)
		return nil, false
	}
	if s.err != nil { // ended meanwhile; its calls have been told
		s.out.busy = false
		s.mu.Unlock()
		return nil, false
	}
	if b.written < b.size {
		if s.out.stall(b); b.written < b.size { // else only what went back was missing
			return nil, true
		}
	}
	told = s.out.settle(b, s.maxQueued())
	s.afterCall()
	return told, true
}

// largeAtOnce is how many large frames a batch may have: one where a write that
// stops half-way cannot be told from one that goes on.
func (s *Session) largeAtOnce() int {
	if s.sock.try == nil {
		return 1
	}
	return largeAtOnce
}

// writeBatch writes what the socket takes of a batch without waiting, all of
// one that was left over from such a write. The holder of the right to write
// alone sets stalled, so it is read without the lock.
func (s *Session) writeBatch(bufs [][]byte) (int, error) {
	if s.sock.try != nil && !s.out.current.stalled {
		return s.sock.try(bufs)
	}
	return s.writeAll(bufs)
}

// writeAll writes all of bufs, for as long as the socket makes progress.
func (s *Session) writeAll(bufs [][]byte) (int, error) {
	limit := cmp.Or(s.cfg.WriteTimeout, DefaultWriteTimeout)
	n, err := s.sock.write(bufs, limit)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the peer took nothing for %v: %w", limit, err)
	}
	return n, err
}

// writeSlices is socket.write for connections that can only block: pieces, each
// with its own time limit.
func writeSlices(conn writeConn, bufs [][]byte, limit time.Duration) (written int, err error) {
	const piece = 64 << 10
	for _, b := range bufs {
		for len(b) > 0 {
			if err := conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
				return written, err
			}
			n, err := conn.Write(b[:min(len(b), piece)])
			written += n
			if err != nil {
				return written, err
			}
			b = b[n:]
		}
	}
	return written, conn.SetWriteDeadline(time.Time{})
}

type writeConn interface {
	Write(b []byte) (int, error)
	SetWriteDeadline(t time.Time) error
}

// halfClose ends this side's direction, or the session where the connection
// has no directions. It is the writer's, since it may block.
func (s *Session) halfClose() {
	half, ok := s.conn.(interface{ CloseWrite() error })
	if !ok {
		s.fail(errDrained)
		return
	}
	err := s.conn.SetWriteDeadline(time.Now().Add(cmp.Or(s.cfg.WriteTimeout, DefaultWriteTimeout)))
	if err == nil {
		err = half.CloseWrite()
	}
	if err != nil {
		s.fail(fmt.Errorf("half-close: %w", err))
		return
	}
	s.mu.Lock()
	s.out.closeWrite, s.out.halfClosed = false, true
	s.frame.awaitEnd(s)
	s.mu.Unlock()
}
