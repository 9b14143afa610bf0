package redis

import (
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
)

// State is who decides for a Limiter.
type State struct {
	// Local says that Redis is away and this process keeps to its share.
	Local bool
	// Since is when that began; zero while Redis decides.
	Since time.Time
	// Err is how Redis last failed; nil while it decides.
	Err error
}

// standing is how a limiter stands with Redis. That it is away is told by a question
// that had Option.Timeout. One that had less says more of its caller than of Redis,
// and so do many of them side by side: they have the limiter look for itself, with
// that time. So it does to find out whether Redis is back.
type standing struct {
	name       string
	timeout    time.Duration // of Option
	retryEvery time.Duration
	looks      sync.WaitGroup // that are under way

	mu sync.Mutex
	// Guarded by mu:
	state      State
	unanswered time.Time // when the first caller in a hurry had no answer since the last answer; zero: none had
	looking    bool
	lookAt     time.Time // not before, while state.Local
	closed     bool      // no look begins any more
}

func (s *standing) now() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// decider reports whether Redis is away, and whether who asked is to begin a look.
func (s *standing) decider(now time.Time) (local, look bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.state.Local {
		return false, false
	}
	return true, !now.Before(s.lookAt) && s.lookLocked()
}

// lookLocked reports whether a look is to begin. Who is told so ends it with looked.
func (s *standing) lookLocked() bool {
	if s.looking || s.closed {
		return false
	}
	s.looking = true
	s.looks.Add(1)
	return true
}

// looked notes what a look came to.
func (s *standing) looked(err error, now time.Time) {
	defer s.looks.Done()
	s.mu.Lock()
	s.looking = false
	closed := s.closed
	s.mu.Unlock()
	switch {
	case err == nil:
		s.answered()
	case !closed:
		s.failed(err, s.timeout, now)
	}
}

// answered notes that Redis is there.
func (s *standing) answered() {
	s.mu.Lock()
	was := s.state
	s.state, s.unanswered = State{}, time.Time{}
	s.mu.Unlock()
	if was.Local {
		log.Infof("ratelimit/redis: %q: Redis decides again, after %v", s.name, time.Since(was.Since).Round(time.Millisecond))
	}
}

// failed notes that Redis gave no answer in the time that it was given, and reports
// whether who asked is to begin a look.
func (s *standing) failed(err error, given time.Duration, now time.Time) (look bool) {
	if given < s.timeout {
		return s.hurried(now)
	}
	if s.goneAway(err, now) {
		log.Warningf("ratelimit/redis: %q: Redis is away, so this process keeps to its share of the rate: %v", s.name, err)
	}
	return false
}

// hurried notes that a caller in a hurry had no answer, and reports whether a look is
// to begin: once nobody had one for the time that shows an outage.
func (s *standing) hurried(now time.Time) (look bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Local {
		return false // looks find out
	}
	if s.unanswered.IsZero() {
		s.unanswered = now
	}
	return now.Sub(s.unanswered) >= s.timeout && s.lookLocked()
}

// goneAway notes that Redis is away, and reports whether that is new.
func (s *standing) goneAway(err error, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.state
	s.state = State{Local: true, Since: before.Since, Err: err}
	s.lookAt = now.Add(s.retryEvery)
	if before.Local {
		return false
	}
	s.state.Since = now
	return true
}

// close waits for a look that is under way. None begins after it.
func (s *standing) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.looks.Wait()
}
