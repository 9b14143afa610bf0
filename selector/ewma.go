package selector

import (
	"math"
	"sync/atomic"
	"time"
)

// latencyMemory is the time constant of the average: a sample that old weighs
// 1/e. Finagle's peak EWMA balancer takes 10 s; half of that follows a node
// that a deployment or a collection slowed down more closely.
const latencyMemory = 5 * time.Second

// outOfOrder is how many milliseconds a sample may lie in the future, seen from
// a concurrent one, before it is taken for one from before the clock wrapped.
const outOfOrder = 60_000

// ewma is an exponentially weighted moving average over time, held in one word
// so that value and time can never be torn apart: the average in nanoseconds
// as a float32 above, the milliseconds of the newest sample below. That clock
// wraps after 49 days: after a silence of just that length the average is taken
// for a recent one, until the next sample corrects it.
//
// It takes one sample a millisecond at most. More would not change the
// average by much, but would have all processors write to one cache line.
type ewma struct {
	word atomic.Uint64 // 0 before the first sample
}

// add takes a sample at a time since some fixed origin. A sample that meets a
// concurrent one is dropped.
func (e *ewma) add(at, sample time.Duration) {
	old := e.word.Load()
	// Nothing measured is free: 1 ns keeps a word with a sample from being 0.
	value := max(1, float64(sample))
	if old != 0 {
		average, age := unpack(old, at)
		if age < time.Millisecond {
			return
		}
		keep := decay(age)
		value = average*keep + value*(1-keep)
	}
	e.word.CompareAndSwap(old, pack(value, at))
}

// at returns the average as seen at a time since the same origin, decayed by
// the time since the newest sample.
func (e *ewma) at(at time.Duration) time.Duration {
	old := e.word.Load()
	if old == 0 {
		return 0
	}
	average, age := unpack(old, at)
	return time.Duration(average * decay(age))
}

func decay(age time.Duration) float64 {
	return math.Exp(-float64(age) / float64(latencyMemory))
}

func pack(average float64, at time.Duration) uint64 {
	return uint64(math.Float32bits(float32(average)))<<32 | uint64(uint32(at.Milliseconds()))
}

// unpack returns the average and its age at a time. A sample from slightly
// later than that, as concurrent callers bring them, has age 0.
func unpack(word uint64, at time.Duration) (average float64, age time.Duration) {
	average = float64(math.Float32frombits(uint32(word >> 32)))
	elapsed := uint32(at.Milliseconds()) - uint32(word)
	if elapsed > math.MaxUint32-outOfOrder {
		elapsed = 0
	}
	return average, time.Duration(elapsed) * time.Millisecond
}
