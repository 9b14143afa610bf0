package histogram

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestBucketsHoldWhatTheySay(t *testing.T) {
	durations := []time.Duration{0, 1, 31, 32, 33, 63, 64, 65, 66, 127, 128, time.Microsecond, time.Second, time.Hour, math.MaxInt64}
	for range 10_000 {
		durations = append(durations, time.Duration(rand.Int64()>>rand.IntN(63)))
	}
	for _, d := range durations {
		top := bucketTop(bucketOf(d))
		if top < d {
			t.Errorf("%d ns is in a bucket that ends at %d", d, top)
		}
		if top-d > d/subBuckets {
			t.Errorf("%d ns is told as %d, more than one part in %d too high", d, top, subBuckets)
		}
		if bucketOf(top) != bucketOf(d) {
			t.Errorf("%d and %d ns are in different buckets", d, top)
		}
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	if got := h.Snapshot().Quantile(0.5); got != 0 {
		t.Errorf("median of nothing is %v", got)
	}
	for i := range 100 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	if c := h.Snapshot(); c.Total() != 100 || c.UpTo(time.Hour) != 100 || c.UpTo(time.Microsecond) != 0 {
		t.Errorf("%d in all, %d within an hour, %d within a microsecond", c.Total(), c.UpTo(time.Hour), c.UpTo(time.Microsecond))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		want *= time.Millisecond
		if n := h.Snapshot().UpTo(want); q > 0 && n < uint64(100*q) {
			t.Errorf("%d did not exceed %v", n, want)
		}
		if got := h.Snapshot().Quantile(q); got < want || got > want+want/subBuckets {
			t.Errorf("quantile %v is %v, want %v and at most a %dth more", q, got, want, subBuckets)
		}
	}
}

func TestOnlyWhatWasRecordedSince(t *testing.T) {
	var h Histogram
	h.Record(time.Hour)
	before := h.Snapshot()
	h.Record(10)
	if got := h.Snapshot().Since(before).Quantile(1); got != 10 {
		t.Errorf("the longest since then is %v, want 10ns", got)
	}
	if got := h.Snapshot().Since(nil).Quantile(1); got < time.Hour {
		t.Errorf("the longest since the start is %v, want an hour", got)
	}
}

func TestNegativeDurationsCountAsNone(t *testing.T) {
	var h Histogram
	h.Record(-time.Second)
	if h.Snapshot()[0] != 1 {
		t.Error("a clock that went back was not counted as 0")
	}
}
