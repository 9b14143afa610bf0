package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram of latencies has subBuckets buckets for each doubling, so what it
// tells is at most one part in subBuckets too high. It covers every duration.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	buckets    = (64 - subBits + 1) * subBuckets
)

// histogram counts durations. The zero value is empty; all methods may run
// concurrently.
type histogram struct{ counts [buckets]atomic.Uint64 }

func (h *histogram) record(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

// counted is what a histogram held at one moment, or between two.
type counted [buckets]uint64

func (h *histogram) snapshot() *counted {
	c := new(counted)
	for i := range h.counts {
		c[i] = h.counts[i].Load()
	}
	return c
}

// since returns what was recorded after before was taken; nil is the start.
func (c *counted) since(before *counted) *counted {
	if before == nil {
		return c
	}
	d := new(counted)
	for i := range c {
		d[i] = c[i] - before[i]
	}
	return d
}

// quantile returns a duration that the part q of all that was recorded does not
// exceed; 0 when nothing was.
func (c *counted) quantile(q float64) time.Duration {
	var total uint64
	for _, n := range c {
		total += n
	}
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
