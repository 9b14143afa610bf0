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
	// adds one to it, a slow one takes off one for every slowUnit that it took, and at
	// least slowCosts: so slow ones, as when the processor was needed elsewhere, make
	// others wait for no more than slowUnit a task on average.
	provenQuick = 64
	mostQuick   = 2 * provenQuick
	slowCosts   = 32
	slowUnit    = 2 * time.Microsecond
	// stuckCosts is how far below nothing a kind gets that kept others waiting: so many
	// must be quick before it is trusted again.
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
		if costs := int32(min(max(slowCosts, d/slowUnit), stuckCosts)); score > -stuckCosts {
			p.score.Add(-costs)
		}
	case score < mostQuick: // else nothing is written: many processors read it
		p.score.Add(1)
	}
}

func (p *Pace) quick(bodyLen int) bool {
	return p != nil && bodyLen <= quickBody && p.score.Load() >= provenQuick
}

func (p *Pace) stuck() {
	if p != nil {
		p.score.Store(-stuckCosts)
	}
}
