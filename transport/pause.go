package transport

import (
	"cmp"
	"time"
)

// A reader that is short of room waits before it refuses, because room comes
// back soon on a busy server. It must not wait long, since cancels and
// heartbeats wait with it, and never while this side waits for an answer
// itself: two sides that both pause would wait for each other.
const (
	pauseWindow  = 200 * time.Millisecond
	pauseSlots   = 20
	pauseSlot    = pauseWindow / pauseSlots
	maxPauseWait = pauseWindow / 2 // in any window
)

// shortage is the reader's memory of being short of room.
type shortage struct {
	refusing bool          // the last request was refused, and no room was given back since
	given    chan struct{} // told when room is given back; made at the first shortage
	budget   *pauseBudget
}

// pauseBudget sums the pauses of the last window, in slots.
type pauseBudget struct {
	slots [pauseSlots + 1]time.Duration
	last  int64 // number of the newest slot
}

// left returns how long a pause that begins at now may take.
func (b *pauseBudget) left(now time.Time) time.Duration {
	b.advance(now)
	sum := time.Duration(0)
	for _, d := range b.slots {
		sum += d
	}
	return max(0, maxPauseWait-sum)
}

func (b *pauseBudget) spend(now time.Time, d time.Duration) {
	b.advance(now)
	b.slots[b.last%int64(len(b.slots))] += d
}

// advance clears the slots that have left the window.
func (b *pauseBudget) advance(now time.Time) {
	slot := int64(now.Sub(began) / pauseSlot) // a clock that is set back leaves no pause for as long
	for steps := min(slot-b.last, int64(len(b.slots))); steps > 0; steps-- {
		b.slots[(slot-steps+1)%int64(len(b.slots))] = 0
	}
	b.last = max(b.last, slot)
}

// waitRoom reports whether there is room for one more request with a body of n
// bytes, having waited for it where that is allowed.
func (s *Session) waitRoom(n int) bool {
	if s.cfg.Room.fits(need{bytes: n}) {
		s.in.short.refusing = false
		return true
	}
	return s.cfg.Room.ever(n) && s.waitFor(need{bytes: n})
}

// waitFor waits for what is needed, where that is allowed, and reports whether it is
// there.
func (s *Session) waitFor(n need) bool {
	room, short := s.cfg.Room, &s.in.short
	if short.given == nil {
		short.given, short.budget = make(chan struct{}, 1), new(pauseBudget)
	}
	if short.refusing {
		select {
		case <-short.given:
			short.refusing = false
		default:
			return false
		}
	}
	if s.pause(n) {
		return true
	}
	short.refusing = true
	s.drainGiven()
	room.watch(short.given)
	return room.fits(n)
}

func (s *Session) drainGiven() {
	select {
	case <-s.in.short.given:
	default:
	}
}

// pause waits until there is room, at most for what the rules leave.
func (s *Session) pause(n need) bool {
	begun := time.Now()
	limit := min(cmp.Or(s.cfg.ReadPause, DefaultReadPause), s.in.short.budget.left(begun))
	if limit <= 0 {
		return false
	}
	s.deliver() // what came before may be what gives room back
	stop, ok := s.beginPause()
	if !ok {
		return false
	}
	ok = s.awaitRoom(n, limit, stop)
	s.mu.Lock()
	s.pausing = false
	s.mu.Unlock()
	spent := time.Since(begun)
	s.in.short.budget.spend(begun, spent)
	s.in.aged += spent // what waits in the socket is that much older
	return ok
}

// beginPause marks the reader as pausing, unless this side waits for an answer
// on the session.
func (s *Session) beginPause() (stop chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.pending.len() > 0 {
		return nil, false
	}
	s.pausing = true
	s.unpause = make(chan struct{})
	return s.unpause, true
}

// endPause ends a pause because this side opens a call, with s.mu held.
func (s *Session) endPause() {
	s.pausing = false
	close(s.unpause)
}

func (s *Session) awaitRoom(n need, limit time.Duration, stop chan struct{}) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	for {
		s.drainGiven()
		s.cfg.Room.watch(s.in.short.given)
		if s.cfg.Room.fits(n) {
			return true
		}
		select {
		case <-s.in.short.given:
		case <-stop:
			return false
		case <-s.done:
			return false
		case <-t.C:
			return s.cfg.Room.fits(n)
		}
	}
}
