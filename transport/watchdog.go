package transport

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// minBodyRate is the slowest body that is waited for, in bytes a second over
// each FrameTimeout.
const minBodyRate = 16 << 10

// wholeWithin is in what time the rest of a body must be there, at its pace over the
// last FrameTimeout, while it holds room that others lack.
const wholeWithin = time.Minute

// ErrStalled ends a session whose peer began a frame and does not go on.
var ErrStalled = errors.New("transport: the peer stalled in the middle of a frame")

type waitFor uint8

const (
	nothing waitFor = iota // between frames: silence is no fault
	forHead
	forBody
	forEnd // the peer should close its direction
)

// frameWatch ends a session whose peer stalls. Its timer runs only while a
// frame is incomplete. The session's mu guards it, but for seen.
type frameWatch struct {
	timer *time.Timer
	what  waitFor
	holds bool      // the body holds room that others may lack
	lacks uint32    // Room.lacked when the window began
	frame uint64    // number of the frame that is incomplete
	since time.Time // it began, or the body's window did
	left  int       // bytes that the body lacked when the reader last waited
	mark  int       // ... when the window began

	seen waitFor // the reader's copy of what, so that it need not lock to change nothing
}

// watch is called by the reader before it waits.
func (f *frameWatch) watch(s *Session, in *inbound) {
	what := nothing
	switch {
	case in.left > 0 || in.skip > 0:
		what = forBody
	case len(in.carry) > 0:
		what = forHead
	}
	if what == nothing && f.seen == nothing {
		return
	}
	f.seen = what
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.what == forEnd || s.err != nil {
		return
	}
	left := in.left + in.skip
	if what != f.what || in.frames != f.frame {
		f.what, f.frame, f.since = what, in.frames, in.arrived
		f.mark, f.lacks = left, s.cfg.Room.lacked()
	}
	f.left, f.holds = left, in.held > 0
	if f.timer == nil && what != nothing {
		f.arm(s, s.frameTimeout()-time.Since(f.since))
	}
}

func (s *Session) frameTimeout() time.Duration {
	return cmp.Or(s.cfg.FrameTimeout, DefaultFrameTimeout)
}

// arm sets the timer, with s.mu held.
func (f *frameWatch) arm(s *Session, d time.Duration) {
	if f.timer != nil {
		f.timer.Reset(d)
		return
	}
	f.timer = time.AfterFunc(d, func() { f.check(s) })
}

func (f *frameWatch) stop() {
	if f.timer != nil {
		f.timer.Stop()
	}
}

// awaitEnd gives the peer FrameTimeout to close its direction, with s.mu held.
func (f *frameWatch) awaitEnd(s *Session) {
	f.what = forEnd
	if s.err == nil {
		f.arm(s, s.frameTimeout())
	}
}

// leastRate is the slowest that the body may be, in bytes a second, with s.mu held.
func (f *frameWatch) leastRate(s *Session) float64 {
	if !f.holds || s.cfg.Room.lacked() == f.lacks {
		return minBodyRate
	}
	return max(minBodyRate, float64(f.mark)/wholeWithin.Seconds())
}

// check looks at what is waited for when the timer fires.
func (f *frameWatch) check(s *Session) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	limit := s.frameTimeout()
	if wait := limit - time.Since(f.since); wait > 0 && f.what != forEnd && f.what != nothing {
		f.arm(s, wait)
		s.mu.Unlock()
		return
	}
	switch f.what {
	case nothing:
		f.timer = nil // an idle session holds none
		s.mu.Unlock()
	case forEnd:
		s.failLocked(errDrained, allGiven)
	case forHead:
		s.failLocked(fmt.Errorf("%w: no whole header in %v", ErrStalled, limit), allGiven)
	case forBody:
		if got := f.mark - f.left; float64(got) < f.leastRate(s)*limit.Seconds() {
			s.failLocked(fmt.Errorf("%w: %d bytes of a body in %v", ErrStalled, got, limit), allGiven)
			return
		}
		f.mark, f.lacks, f.since = f.left, s.cfg.Room.lacked(), time.Now()
		f.arm(s, limit)
		s.mu.Unlock()
	}
}
