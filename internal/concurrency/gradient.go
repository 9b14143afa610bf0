package concurrency

import (
	"math"
	"time"
)

// What the gradient algorithm is set to.
const (
	tolerance  = 1.5 // how much longer than without load requests may take
	steepest   = 0.5 // the least gradient: one window halves the limit at most
	smoothing  = 0.2 // the weight of one window
	growth     = 1.5 // of the limit in a window, while nothing speaks against it
	calmAgain  = 10  // windows in a row after which nothing speaks against it
	leastTold  = 16  // samples that make a window
	longWindow = 10  // spans after which fewer will do
)

// What measuring without load is set to.
const (
	quietPart     = 3 // of the limit: so few do not feel each other
	measureEvery  = 10 * time.Second
	measureShare  = 50          // at least so many latencies lie between two measurements
	doubtEvery    = time.Second // both are less where the last one is not quite believed
	doubtShare    = 10
	measureAtMost = 200 * time.Millisecond // or three latencies, if that is longer
	measureEnough = 64                     // samples that are a measurement
)

// gradient moves the limit. The Limiter's lock guards it.
type gradient struct {
	limit    float64
	min, max float64
	settled  bool // latency has spoken against a higher limit
	calm     int  // windows in a row in which it has not
	falling  bool // the limit is on its way down

	latency time.Duration // of requests lately

	// Of the window:
	window       int // counts them, from 1
	opened       time.Time
	told         int
	took, noLoad float64 // sums in nanoseconds: what they took, what they would have
	used         int     // the most at one time

	// Of the measurement without load:
	pressed   bool      // more than half of the limit was in use since the last
	epoch     int       // counts measurements
	measured  int       // samples since the last began
	measureAt time.Time // when the next is due
	until     time.Time // when the one that goes on ends; zero while none does
	doubted   bool      // by it, latency would have risen more than is believed
}

func newGradient(s Settings, now time.Time) gradient {
	low, high := float64(max(1, s.Min)), float64(max(1, s.Min, s.Max))
	return gradient{
		limit: min(max(float64(s.Initial), low), high), min: low, max: high,
		opened: now, window: 1, measureAt: now.Add(measureEvery),
	}
}

// Kind is the work of one method: what it takes without load. The zero value is
// ready; a Limiter's lock guards it, and it must not be used with another.
type Kind struct {
	noLoad float64 // nanoseconds, an average
	weight float64 // of that average, in samples; 0 when nothing is known
	known  bool    // weight has been mostWeight
	epoch  int     // of the last sample
	window int     // of the last sample
	most   float64 // that noLoad may become in that window, once it is known
}

// Weights of what is known, in samples: at most, and when a measurement begins,
// so that it counts for more than what was before.
const (
	mostWeight  = 64
	stillWeight = 8
)

// How much what is known may rise: in a window, and by a measurement. When the
// server can suddenly do less, the limit falls quicker than the first, or those
// that feel it first would pass for requests without load. And a server that
// stood still during a measurement has not shown that it is slow: the next one
// comes soon.
const (
	windowRise  = 1.03
	measureRise = 2
)

// learn takes in that the work took so long without load.
func (k *Kind) learn(took float64, g *gradient) {
	if k.epoch != g.epoch {
		k.epoch, k.weight = g.epoch, min(k.weight, stillWeight)
	}
	if k.window != g.window {
		k.window, k.most = g.window, k.noLoad*windowRise
		if g.measuring() {
			k.most = k.noLoad * measureRise
		}
	}
	k.weight = min(k.weight+1, mostWeight)
	k.noLoad += (took - k.noLoad) / k.weight
	if k.known && k.noLoad > k.most {
		k.noLoad = k.most
		g.doubted = g.doubted || g.measuring()
	}
	if !k.known && k.weight == mostWeight {
		k.known, k.most = true, k.noLoad*windowRise
	}
}

// whole returns the limit itself.
func (g *gradient) whole() int { return int(g.limit) }

// quiet is how many are served while latency without load is measured.
func (g *gradient) quiet() int { return max(1, int(g.limit/quietPart)) }

// now returns the limit for this moment.
func (g *gradient) now() int {
	if g.measuring() {
		return g.quiet()
	}
	return g.whole()
}

func (g *gradient) measuring() bool { return !g.until.IsZero() }

// isQuiet reports whether a request that is one of n takes as long as alone.
func (g *gradient) isQuiet(n int) bool { return n <= g.quiet() }

// sawUse notes that n are being served or about to.
func (g *gradient) sawUse(n int) { g.used = max(g.used, n) }

// sample takes in a request of kind k, which began quietly or not.
func (g *gradient) sample(k *Kind, took time.Duration, quiet bool) {
	t := max(float64(took), 1)
	if quiet {
		k.learn(t, g)
		g.measured++
	}
	g.latency += (took - g.latency) / leastTold
	if k.weight > 0 {
		g.told++
		g.took += t
		g.noLoad += k.noLoad
	}
}

// tick ends what is over at now: a measurement, or a window.
func (g *gradient) tick(now time.Time) {
	if g.measuring() {
		if g.measured >= measureEnough || now.After(g.until) {
			g.until, g.measured = time.Time{}, 0
			g.measureAt = now.Add(g.measureAgain())
			g.open(now)
		}
		return
	}
	elapsed := now.Sub(g.opened)
	if elapsed < span || g.told < leastTold && elapsed < longWindow*span {
		return
	}
	if g.told > 0 && g.used > g.whole()/2 {
		g.pressed = true
		g.move(g.took / g.noLoad)
	}
	g.open(now)
	if now.After(g.measureAt) && !g.falling {
		g.measure(now)
	}
}

// open begins a window.
func (g *gradient) open(now time.Time) {
	g.window++
	g.opened, g.told, g.took, g.noLoad, g.used = now, 0, 0, 0, 0
}

// measure begins a measurement, unless the limit was not felt, or enough requests
// had the server almost to themselves all the same.
func (g *gradient) measure(now time.Time) {
	if g.pressed && g.measured < measureEnough {
		g.epoch++
		g.doubted = false
		g.until = now.Add(max(measureAtMost, 3*g.latency))
	} else {
		g.measureAt = now.Add(measureEvery)
	}
	g.measured, g.pressed = 0, false
}

// measureAgain returns when to measure next.
func (g *gradient) measureAgain() time.Duration {
	if g.doubted {
		return max(doubtEvery, doubtShare*g.latency)
	}
	return max(measureEvery, measureShare*g.latency)
}

// move sets the limit after a window in which requests took stretch times what
// they take without load, and more than half of the limit was in use.
func (g *gradient) move(stretch float64) {
	slope := min(max(tolerance/stretch, steepest), 1)
	g.calm++
	if slope < 1 {
		g.settled, g.calm = true, 0
	}
	before := g.limit
	next := before*slope + math.Sqrt(before)
	if !g.settled || g.calm > calmAgain {
		g.limit *= growth
	} else {
		g.limit += (next - g.limit) * smoothing
	}
	g.limit = min(max(g.limit, g.min), g.max)
	g.falling = next < before*0.9 && g.limit > g.min
}
