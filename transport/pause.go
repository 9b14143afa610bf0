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

// shortage is the reader's memory of being short of room: for one more request, or for
// a body that is arriving and is to grow. The two are given back by different peers, so
// neither is a sign for the other.
type shortage struct {
	refusing bool          // the last request was refused, and no room was given back since
	given    chan struct{} // told when a request gives room back

	refusingGrowth bool          // the last body that was to grow was refused
	givesThen      uint32        // Room.givenPartial when it was
	freed          chan struct{} // told when a body that was arriving gives room back

	budget pauseBudget
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
	request := need{bytes: n}
	if s.cfg.Room.fits(request) {
		if s.in.short != nil {
			s.in.short.refusing = false
		}
		return true
	}
	return s.cfg.Room.ever(n) && s.waitForRequest(request)
}

// waitForRequest waits for room for one more request, where that is allowed, and
// reports whether it is there.
func (s *Session) waitForRequest(n need) bool {
	room, short := s.cfg.Room, s.shortage()
	if short.refusing && !drain(short.given) {
		return false
	}
	short.refusing = false
	if s.pause(n, short.given) {
		return true
	}
	short.refusing = true
	drain(short.given)
	room.watch(n, short.given)
	return room.fits(n)
}

// waitToGrow waits for room for a body that is to grow, where that is allowed, and
// reports whether it is there.
func (s *Session) waitToGrow(n need) bool {
	short := s.shortage()
	if short.refusingGrowth && s.cfg.Room.givenPartial() == short.givesThen {
		return false
	}
	short.refusingGrowth = false
	return s.pause(n, short.freed)
}

// refusedGrowth remembers that a body was refused which was to grow. What that one held
// itself has been given back by now, and is no sign of more.
func (s *Session) refusedGrowth() {
	short := s.shortage()
	short.refusingGrowth, short.givesThen = true, s.cfg.Room.givenPartial()
}

// shortage returns the memory, which an idle connection does not hold before it was
// first short of room.
func (s *Session) shortage() *shortage {
	if s.in.short == nil {
		s.in.short = &shortage{given: make(chan struct{}, 1), freed: make(chan struct{}, 1)}
	}
	return s.in.short
}

// drain reports whether told had been told anything.
func drain(told chan struct{}) bool {
	select {
	case <-told:
		return true
	default:
		return false
	}
}

// pause waits until there is room, at most for what the rules leave. What is needed is
// looked at whenever given is told.
func (s *Session) pause(n need, given chan struct{}) bool {
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
	ok = s.awaitRoom(n, given, limit, stop)
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

func (s *Session) awaitRoom(n need, given chan struct{}, limit time.Duration, stop chan struct{}) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	for {
		drain(given)
		s.cfg.Room.watch(n, given)
		if s.cfg.Room.fits(n) {
			return true
		}
		select {
		case <-given:
		case <-stop:
			return false
		case <-s.done:
			return false
		case <-t.C:
			return s.cfg.Room.fits(n)
		}
	}
}
