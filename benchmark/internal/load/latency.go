package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxLatency is the longest time that is told apart from longer ones.
const maxLatency = 60 * time.Second

// Latency is a histogram of call times, exact to three digits. Callers add to
// it through samples, in batches, so that recording costs them neither a lock
// nor a cold cache line for each call.
type Latency struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram // guarded by mu
}

// NewLatency makes an empty histogram.
func NewLatency() *Latency {
	return &Latency{h: hdrhistogram.New(1, int64(maxLatency), 3)}
}

// Quantile returns the time that q per cent of the calls did not exceed, zero
// when nothing was recorded.
func (l *Latency) Quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.h.ValueAtQuantile(q))
}

// Count returns the number of recorded calls.
func (l *Latency) Count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.h.TotalCount()
}

func (l *Latency) add(times []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range times {
		// Within the bounds, RecordValue has no error to return.
		_ = l.h.RecordValue(int64(min(max(t, 1), maxLatency)))
	}
}

// samples collects one caller's times until they are worth a lock.
type samples struct {
	into  *Latency
	n     int
	times [128]time.Duration
}

func (s *samples) add(t time.Duration) {
	s.times[s.n] = t
	s.n++
	if s.n == len(s.times) {
		s.flush()
	}
}

func (s *samples) flush() {
	s.into.add(s.times[:s.n])
	s.n = 0
}
