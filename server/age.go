package server

import (
	"math/rand/v2"
	"time"
)

const (
	oldAgeReason = "the connection is as old as it may get (MaxConnectionAge)"
	// ageJitter is the part by which a connection may live longer or less, so that
	// clients that came together do not leave together.
	ageJitter = 10 // one tenth
)

// limitAgeLocked has the client told, when its connection is old enough, to make
// another one. What runs on it is finished, as in a drain.
func (p *Peer) limitAgeLocked(limit time.Duration) {
	if limit <= 0 {
		return
	}
	limit = min(limit, forever) // so that it is a Duration with its jitter
	spread := limit / ageJitter
	age := limit - spread + rand.N(2*spread+1)
	p.aging = time.AfterFunc(age, func() { p.session.Renew(oldAgeReason) })
}

// stopAgingLocked is for a connection that has ended.
func (p *Peer) stopAgingLocked() {
	if p.aging != nil {
		p.aging.Stop()
	}
}
