package client

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/protocol"
)

// stripes is over how many cache lines spread what every call counts, so that
// processors do not wait for each other's. A power of two.
const stripes = 8

// anyStripe returns one at random: a call does not know its processor.
func anyStripe() uint32 { return rand.Uint32() % stripes }

// counters is what Stats reads. The zero value is ready; all methods may run
// concurrently.
type counters struct {
	often [stripes]often

	failures      [Codes]atomic.Uint64
	swallowed     atomic.Uint64
	retries       atomic.Uint64
	moves         atomic.Uint64
	hedges        atomic.Uint64
	hedgeWins     atomic.Uint64
	budgetRefused atomic.Uint64
}

// often is what every call counts, on cache lines of its own.
type often struct {
	begun, ended atomic.Uint64
	attempts     atomic.Uint64
	_            [104]byte
}

// begin counts a call, and returns where it ends.
func (c *counters) begin() *often {
	o := &c.often[anyStripe()]
	o.begun.Add(1)
	return o
}

// attempt counts one that is not the first of its call.
func (c *counters) attempt() { c.often[0].attempts.Add(1) }

// failed counts a call by the code of its error.
func (c *counters) failed(err error) {
	if code := int(protocol.CodeOf(err)); code < Codes {
		c.failures[code].Add(1)
	}
}

func (c *counters) snapshot() Stats {
	var s Stats
	var ended uint64
	for i := range c.often {
		ended += c.often[i].ended.Load() // before begun: no call ends that did not begin
	}
	for i := range c.often {
		s.Calls += c.often[i].begun.Load()
		s.Attempts += c.often[i].attempts.Load()
	}
	s.InFlight = s.Calls - ended
	for code := range c.failures {
		s.Failures[code] = c.failures[code].Load()
	}
	s.Swallowed = c.swallowed.Load()
	s.Retries = c.retries.Load()
	s.Moves = c.moves.Load()
	s.Hedges = c.hedges.Load()
	s.HedgeWins = c.hedgeWins.Load()
	s.BudgetRefused = c.budgetRefused.Load()
	return s
}
