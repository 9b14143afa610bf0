package client

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// What a hedge waits for: longer than hedgeShare of a method's answers took in
// the last latencySlots times latencySlot, once there were leastAnswers of them.
const (
	hedgeShare   = 0.95
	leastAnswers = 20
	latencySlots = 6
	latencySlot  = 5 * time.Second
	// latencyFresh is how long a percentile is used before it is found anew.
	latencyFresh = 100 * time.Millisecond
	// maxLatencies is of how many methods the latency is known; all others
	// share one.
	maxLatencies = 1024
)

// latencies is what a client knows of each method that it may hedge. The zero
// value is ready; all methods may run concurrently.
type latencies struct {
	mu sync.RWMutex
	// Guarded by mu:
	methods map[string]*latency
}

// of returns the latency of a method.
func (l *latencies) of(serviceMethod string) *latency {
	l.mu.RLock()
	known := l.methods[serviceMethod]
	l.mu.RUnlock()
	if known != nil {
		return known
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.methods) >= maxLatencies {
		serviceMethod = "" // no name of a method
	}
	known = l.methods[serviceMethod]
	if known == nil {
		known = &latency{born: time.Now()}
		if l.methods == nil {
			l.methods = make(map[string]*latency)
		}
		l.methods[serviceMethod] = known
	}
	return known
}

// latency is how long the answers of one method took lately: a histogram for
// each latencySlot, the oldest of which is replaced by the next. Noting an
// answer takes no lock but for the first of a slot.
type latency struct {
	born  time.Time
	slots [latencySlots]latencyCounts

	found   atomic.Int64 // what most found, in nanoseconds
	foundAt atomic.Int64 // when, in nanoseconds since born; 0 for never

	mu sync.Mutex // held to begin a slot
}

// latencyCounts are the answers of one slot, by bucket.
type latencyCounts struct {
	slot   atomic.Int64 // which; 0 is also that of a new latency, and that is right
	counts [latencyBuckets]atomic.Uint32
}

// A bucket is an eighth of a power of two wide: what it tells of a duration is
// true to that. The first is for all below 1 µs, the last for all from a minute
// on.
const (
	bucketsPerOctave = 8
	firstOctave      = 10 // 2^10 ns
	lastOctave       = 36 // 2^36 ns
	latencyBuckets   = (lastOctave-firstOctave)*bucketsPerOctave + 1
)

func bucketOf(d time.Duration) int {
	if d < 1<<firstOctave {
		return 0
	}
	octave := bits.Len64(uint64(d)) - 1
	if octave >= lastOctave {
		return latencyBuckets - 1
	}
	return (octave-firstOctave)*bucketsPerOctave + int(d>>(octave-3))&(bucketsPerOctave-1)
}

// bucketEnd is more than every duration in a bucket but the last.
func bucketEnd(i int) time.Duration {
	octave := firstOctave + i/bucketsPerOctave
	return time.Duration(bucketsPerOctave+i%bucketsPerOctave+1) << (octave - 3)
}

// learn notes what n tells of the method: how long its answer took, or that it
// had none when it was due to be hedged after delay. Such an attempt is as slow as
// that and no slower: how much longer it ran is how long its hedge took, or the
// time that it was given, and a delay that followed these would grow with each
// attempt that it has cancelled. Left out, it would fall with each.
func (l *latency) learn(ctx context.Context, n *runner, delay time.Duration) {
	took := n.took
	switch outcome, code := protocol.OutcomeOf(n.err), protocol.CodeOf(n.err); {
	case outcome == protocol.Ran && code != protocol.DeadlineExceeded: // or a success
	case n.record.Hedge || delay <= 0 || ctx.Err() != nil || code == protocol.Unavailable:
		return
	case outcome == protocol.NotSent || outcome == protocol.Refused:
		return
	default:
		took = min(took, delay-1) // the delay is where the next bucket begins
	}
	l.add(n.begun.Add(n.took), took)
}

// add notes an answer that took so long, at now.
func (l *latency) add(now time.Time, took time.Duration) {
	slot := l.slotAt(now)
	s := &l.slots[slot%latencySlots]
	if s.slot.Load() < slot {
		l.begin(s, slot)
	}
	s.counts[bucketOf(took)].Add(1)
}

func (l *latency) slotAt(now time.Time) int64 { return int64(now.Sub(l.born) / latencySlot) }

// begin empties s for slot. An answer that is noted meanwhile may be lost, or
// count for its neighbour.
func (l *latency) begin(s *latencyCounts, slot int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.slot.Load() >= slot {
		return
	}
	for i := range s.counts {
		s.counts[i].Store(0)
	}
	s.slot.Store(slot)
}

// most returns what hedgeShare of the answers took at most, 0 when there were
// too few to say.
func (l *latency) most(now time.Time) time.Duration {
	at := max(1, int64(now.Sub(l.born)))
	if last := l.foundAt.Load(); last != 0 && at-last < int64(latencyFresh) {
		return time.Duration(l.found.Load())
	}
	d := l.percentile(now)
	l.found.Store(int64(d))
	l.foundAt.Store(at)
	return d
}

func (l *latency) percentile(now time.Time) time.Duration {
	var counts [latencyBuckets]uint64
	var total uint64
	for i, slot := 0, l.slotAt(now); i < latencySlots; i++ {
		s := &l.slots[i]
		if slot-s.slot.Load() >= latencySlots {
			continue
		}
		for j := range counts {
			n := uint64(s.counts[j].Load())
			counts[j] += n
			total += n
		}
	}
	if total < leastAnswers {
		return 0
	}
	above := uint64((1 - hedgeShare) * float64(total)) // may take longer
	for i := latencyBuckets - 1; i > 0; i-- {
		if counts[i] > above {
			return bucketEnd(i)
		}
		above -= counts[i]
	}
	return bucketEnd(0)
}
