package transport

import (
	"sync/atomic"
	"time"
)

// Pace remembers whether tasks of one kind, such as those of one method, are quick:
// whether they take so little time that waking another goroutine for what waits
// behind one costs more than the wait. It is a guess, corrected while they run, and
// no more than speed depends on it. The zero value knows of nothing quick; a nil
// Pace stays like that. All methods may run concurrently.
type Pace struct{ score atomic.Int32 }

const (
	// quickTask is how long a quick task takes at most.
	quickTask = 20 * time.Microsecond
	// quickBody is the largest body, in bytes, of a task that may be taken for
	// quick: larger ones take their time to be decoded.
	quickBody = 4 << 10

	// A kind of tasks is taken for quick from a score of provenQuick on. A quick one
	// adds one to it, a slow one takes slowCosts off: so one in 33 may be slow, as
	// when the processor was needed elsewhere.
	provenQuick = 64
	mostQuick   = 2 * provenQuick
	slowCosts   = 32
	// stuckCosts is the score of a kind that kept others waiting: so many must be
	// quick before it is trusted again.
	stuckCosts = 16 << 10
)

// Took tells that one task of bodyLen bytes took d.
func (p *Pace) Took(d time.Duration, bodyLen int) {
	if p == nil || bodyLen > quickBody {
		return
	}
	score := p.score.Load()
	switch {
	case d > quickTask:
		if score > -mostQuick {
			p.score.Add(-slowCosts)
		}
	case score < mostQuick: // else nothing is written: many processors read it
		p.score.Add(1)
	}
}

func (p *Pace) quick(bodyLen int) bool {
	return p != nil && bodyLen <= quickBody && p.score.Load() >= provenQuick
}

func (p *Pace) stuck() { p.score.Store(-stuckCosts) }
