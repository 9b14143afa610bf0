package server

import (
	"fmt"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/transport"
)

// place is what an accepted connection counts against.
type place uint8

const (
	noPlace   place = iota
	served          // one of MaxConnections
	forReason       // beyond: it is only told why it is not served
)

// A connection beyond MaxConnections is told so, and has a while to read it.
// Those in that state are bounded as well.
const (
	maxTurnedAway  = 256
	turnedAwayLife = 5 * time.Second
)

// place finds a place for one more connection.
func (s *SGServer) place() place {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	switch {
	case s.phase == closed:
		return noPlace
	case s.connections < s.option.MaxConnections:
		s.connections++
		return served
	case s.turnedAway < maxTurnedAway:
		s.beyond++
		s.turnedAway++
		return forReason
	}
	s.beyond++
	return noPlace
}

func (s *SGServer) vacate(p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vacateLocked(p)
}

func (s *SGServer) vacateLocked(p place) {
	switch p {
	case served:
		s.connections--
	case forReason:
		s.turnedAway--
	}
}

// onStart makes the session's Peer before anything is read on it.
func (s *SGServer) onStart(session *transport.Session) {
	p := &Peer{server: s, session: session}
	session.SetOwner(p)
	s.mu.Lock()
	s.peers[session] = p
	s.mu.Unlock()
}

// settle gives a session its place, and sees to its end where it has none.
func (s *SGServer) settle(session *transport.Session, at place) {
	s.mu.Lock()
	phase := s.phase
	if p := s.peers[session]; p != nil {
		p.place = at
		if at == served && phase == serving {
			p.limitAgeLocked(s.option.MaxConnectionAge)
		}
	} else { // it has ended already
		s.vacateLocked(at)
	}
	s.mu.Unlock()
	switch {
	case phase == closed:
		session.Fail(ErrServerClosed) // end may have looked before onStart
		_ = session.Close()           // returns nil
	case at == forReason: // and has been told to go
		log.V(1).Infof("server: %s is turned away: %s", session.RemoteAddr(), s.turnsAway.Leaving)
		time.AfterFunc(turnedAwayLife, func() { session.Fail(errTurnedAway) })
	case phase == draining:
		session.GoAway(goAwayReason)
	}
}

var errTurnedAway = fmt.Errorf("server: the peer stayed for %v after it was turned away", turnedAwayLife)

// onEnd has the session forgotten once its goroutines have ended: this one too,
// so it cannot be here.
func (s *SGServer) onEnd(session *transport.Session, err error) {
	if err != nil {
		log.V(1).Infof("server: connection of %s ended: %v", session.RemoteAddr(), err)
	}
	s.workers.Go(func() {
		_ = session.Close() // returns nil
		s.forget(session)
	})
}

func (s *SGServer) forget(session *transport.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[session]
	if p == nil {
		return
	}
	delete(s.peers, session)
	if p.awaited {
		s.drain.awaited--
	}
	p.stopAgingLocked()
	s.carried = s.carried.Plus(session.Traffic())
	s.vacateLocked(p.place)
	for _, id := range p.identities {
		s.forgetIdentityLocked(id, p)
	}
	s.noticeDrainedLocked()
}

func (s *SGServer) forgetIdentityLocked(id string, p *Peer) {
	rest := slices.DeleteFunc(s.identities[id], func(other *Peer) bool { return other == p })
	if len(rest) == 0 {
		delete(s.identities, id)
		return
	}
	s.identities[id] = rest
}
