package main

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
	var h histogram
	if got := h.snapshot().quantile(0.5); got != 0 {
		t.Errorf("median of nothing is %v", got)
	}
	for i := range 100 {
		h.record(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		want *= time.Millisecond
		if got := h.snapshot().quantile(q); got < want || got > want+want/subBuckets {
			t.Errorf("quantile %v is %v, want %v and at most a %dth more", q, got, want, subBuckets)
		}
	}
}

func TestOnlyWhatWasRecordedSince(t *testing.T) {
	var h histogram
	h.record(time.Hour)
	before := h.snapshot()
	h.record(10)
	if got := h.snapshot().since(before).quantile(1); got != 10 {
		t.Errorf("the longest since then is %v, want 10ns", got)
	}
	if got := h.snapshot().since(nil).quantile(1); got < time.Hour {
		t.Errorf("the longest since the start is %v, want an hour", got)
	}
}

func TestNegativeDurationsCountAsNone(t *testing.T) {
	var h histogram
	h.record(-time.Second)
	if h.snapshot()[0] != 1 {
		t.Error("a clock that went back was not counted as 0")
	}
}
