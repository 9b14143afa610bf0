// Package histogram counts latencies, for the programs that measure calls: the demo
// and the command line.
package histogram

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Precision is how many buckets there are for each doubling: what is told is at
// most one part in Precision too high. Every duration is covered.
const Precision = 1 << subBits

const (
	subBits    = 5
	subBuckets = Precision
	buckets    = (64 - subBits + 1) * subBuckets
)

// Histogram counts durations. The zero value is empty; all methods may run
// concurrently.
type Histogram struct{ counts [buckets]atomic.Uint64 }

// Record counts d; a negative one, of a clock that went back, as 0.
func (h *Histogram) Record(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

// Counted is what a Histogram held at one moment, or between two.
type Counted [buckets]uint64

// Snapshot returns what was recorded so far.
func (h *Histogram) Snapshot() *Counted {
	c := new(Counted)
	for i := range h.counts {
		c[i] = h.counts[i].Load()
	}
	return c
}

// Since returns what was recorded after before was taken; nil is the start.
func (c *Counted) Since(before *Counted) *Counted {
	if before == nil {
		return c
	}
	d := new(Counted)
	for i := range c {
		d[i] = c[i] - before[i]
	}
	return d
}

// Total returns how many durations were recorded.
func (c *Counted) Total() (total uint64) {
	for _, n := range c {
		total += n
	}
	return total
}

// UpTo returns how many durations did not exceed d, those counted too that share
// its bucket.
func (c *Counted) UpTo(d time.Duration) (n uint64) {
	for _, in := range c[:bucketOf(d)+1] {
		n += in
	}
	return n
}

// Quantile returns a duration that the part q of all that was recorded does not
// exceed; 0 when nothing was.
func (c *Counted) Quantile(q float64) time.Duration {
	total := c.Total()
	if total == 0 {
		return 0
	}
	rank := max(1, uint64(q*float64(total)+0.5))
	for i, n := range c {
		if n >= rank {
			return bucketTop(i)
		}
		rank -= n
	}
	return bucketTop(buckets - 1)
}

// bucketOf is linear below subBuckets nanoseconds, then logarithmic.
func bucketOf(d time.Duration) int {
	n := uint64(max(0, d))
	if n < subBuckets {
		return int(n)
	}
	shift := bits.Len64(n) - subBits - 1
	return shift*subBuckets + int(n>>shift)
}

// bucketTop is the largest duration in bucket i.
func bucketTop(i int) time.Duration {
	if i < 2*subBuckets {
		return time.Duration(i)
	}
	shift := i/subBuckets - 1
	sub := uint64(i%subBuckets + subBuckets)
	return time.Duration((sub+1)<<shift - 1)
}
