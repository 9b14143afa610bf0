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

// standing is how a limiter stands with Redis.
type standing struct {
	name       string
	timeout    time.Duration // of Option
	retryEvery time.Duration

	mu sync.Mutex
	// Guarded by mu:
	state      State
	unanswered time.Duration // that Redis was given since its last answer
	asking     bool          // a caller finds out whether Redis is back
	retryAt    time.Time     // nobody asks before, while state.Local
}

func (s *standing) now() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// mayAsk reports whether to ask Redis: while it is away, one caller at a time
// does, every retryEvery. Who may tells answered or failed.
func (s *standing) mayAsk(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.state.Local {
		return true
	}
	if s.asking || now.Before(s.retryAt) {
		return false
	}
	s.asking = true
	return true
}

// answered notes that Redis is there.
func (s *standing) answered() {
	s.mu.Lock()
	was := s.state
	s.state, s.unanswered, s.asking = State{}, 0, false
	s.mu.Unlock()
	if was.Local {
		log.Infof("ratelimit/redis: %q: Redis decides again, after %v", s.name, time.Since(was.Since).Round(time.Millisecond))
	}
}

// failed notes that Redis gave no answer in the time that it was given. It is
// away when that was Option.Timeout, or as much together for callers in a hurry.
func (s *standing) failed(err error, given time.Duration, now time.Time) {
	if !s.goneAway(err, given, now) {
		return
	}
	log.Warningf("ratelimit/redis: %q: Redis is away, so this process keeps to its share of the rate: %v", s.name, err)
}

// goneAway reports whether this is the failure by which Redis is away.
func (s *standing) goneAway(err error, given time.Duration, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unanswered += max(0, given)
	if !s.state.Local && s.unanswered < s.timeout {
		return false
	}
	before := s.state
	s.state = State{Local: true, Since: before.Since, Err: err}
	s.asking, s.retryAt = false, now.Add(s.retryEvery)
	if before.Local {
		return false
	}
	s.state.Since = now
	return true
}
