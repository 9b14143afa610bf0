package concurrency

import (
	"math"
	"sync"
	"time"
)

// Settings of a Limiter. They are used as they are.
type Settings struct {
	Initial  int // the limit to begin with
	Min, Max int // its bounds; at least 1
	Levels   int // how many levels there are; at least 1
}

// Limiter says which requests to serve now. Its methods may run concurrently and
// do not wait; it starts nothing.
//
// A request passes Admit, then Begin, then End. One that was admitted may never
// begin: what is admitted and has not begun is remembered for a tick or two.
type Limiter struct {
	levels int

	mu sync.Mutex
	// Guarded by mu:
	gradient gradient
	demand   demand
	running  []int  // by level
	total    int    // of running
	expected [2]int // admitted and not begun, in this tick and the one before
	ticked   time.Time
	refused  uint64
}

// New returns a limiter at which nothing runs.
func New(s Settings) *Limiter {
	now := time.Now()
	return &Limiter{
		levels:   s.Levels,
		gradient: newGradient(s, now),
		demand:   newDemand(s.Levels),
		running:  make([]int, s.Levels),
		ticked:   now,
	}
}

// Ticket is what End needs to know of a request that began.
type Ticket struct {
	begun time.Time
	level int
	quiet bool // few were being served
}

// Stats is what a Limiter does now.
type Stats struct {
	Limit   int
	Running int
	Refused uint64 // all so far, by Admit and Begin
}

// Stats returns the numbers of this moment.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Limit: l.gradient.now(), Running: l.total, Refused: l.refused}
}

// Admit reports whether a request of a level, 0 the lowest, should be served. If
// not, retryAfter is when that may be otherwise.
func (l *Limiter) Admit(level int) (retryAfter time.Duration, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tick(now)
	used := l.total + l.expected[0] + l.expected[1]
	if used+l.keptFor(level) >= l.gradient.now() {
		l.demand.arrived(level, false)
		l.gradient.sawUse(l.gradient.now()) // all there is, for those who count
		return l.refuse(), false
	}
	l.demand.arrived(level, true)
	l.expected[0]++
	l.gradient.sawUse(used + 1)
	return 0, true
}

// Begin is told that an admitted request is there. It refuses only what came
// while the limit fell.
func (l *Limiter) Begin(level int) (t Ticket, retryAfter time.Duration, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tick(now)
	switch {
	case l.expected[1] > 0:
		l.expected[1]--
	case l.expected[0] > 0:
		l.expected[0]--
	}
	if l.total >= l.gradient.whole() {
		return Ticket{}, l.refuse(), false
	}
	l.total++
	l.running[level]++
	return Ticket{begun: now, level: level, quiet: l.gradient.isQuiet(l.total)}, 0, true
}

// End is told that a request has ended. told says that how long it took tells
// what work of kind k takes.
func (l *Limiter) End(t Ticket, k *Kind, told bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	l.running[t.level]--
	if told {
		l.gradient.sample(k, now.Sub(t.begun), t.quiet)
	}
	l.tick(now)
}

// keptFor returns the room that is kept for levels above one: what they lately
// needed, less what they have.
func (l *Limiter) keptFor(level int) int {
	need := l.demand.above[level]
	if need == 0 {
		return 0
	}
	for _, n := range l.running[level+1:] {
		need -= n
	}
	return max(0, need)
}

func (l *Limiter) refuse() time.Duration {
	l.refused++
	after := float64(l.gradient.latency) * l.demand.excess
	return time.Duration(min(max(after, float64(leastRetry)), float64(mostRetry)))
}

// Bounds of what a refused caller is told to wait.
const (
	leastRetry = time.Millisecond
	mostRetry  = time.Second
)

// span of a tick: of counting arrivals, and of latencies before the limit moves.
const span = 100 * time.Millisecond

// tick does what is due at now.
func (l *Limiter) tick(now time.Time) {
	l.gradient.tick(now)
	elapsed := now.Sub(l.ticked)
	if elapsed < span {
		return
	}
	l.ticked = now
	l.demand.tick(elapsed, l.gradient.latency)
	l.expected[0], l.expected[1] = 0, l.expected[0]
	if elapsed >= 2*span {
		l.expected[1] = 0
	}
}

// demand knows how much room each level has lately needed.
type demand struct {
	arrivals []int     // of this tick, by level
	admitted int       // of this tick
	need     []float64 // by level, averaged over some ticks
	above    []int     // by level: what all higher ones need
	excess   float64   // arrivals to one that was admitted, in the last tick; at least 1
}

func newDemand(levels int) demand {
	return demand{arrivals: make([]int, levels), need: make([]float64, levels), above: make([]int, levels), excess: 1}
}

func (d *demand) arrived(level int, admitted bool) {
	d.arrivals[level]++
	if admitted {
		d.admitted++
	}
}

// tick ends a tick of so long, in which requests took latency each. What arrives
// in a time needs that rate by the latency (Little's law), and comes unevenly: three
// standard deviations are added.
func (d *demand) tick(elapsed, latency time.Duration) {
	all, sum := 0, 0.0
	for level := len(d.arrivals) - 1; level >= 0; level-- {
		d.above[level] = int(math.Ceil(sum))
		need := float64(d.arrivals[level]) * float64(latency) / float64(elapsed)
		d.need[level] = (d.need[level] + need) / 2
		if d.need[level] < 0.01 {
			d.need[level] = 0
		}
		sum += d.need[level] + 3*math.Sqrt(d.need[level])
		all += d.arrivals[level]
		d.arrivals[level] = 0
	}
	d.excess = max(1, float64(all)/float64(max(1, d.admitted)))
	d.admitted = 0
}
