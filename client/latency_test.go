package client

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

func TestBucketsHoldWhatTheySay(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 1023, 1024, 1025, time.Microsecond, 7 * time.Millisecond, time.Second, 68 * time.Second, time.Hour, -1} {
		i := bucketOf(d)
		if i < 0 || i >= latencyBuckets {
			t.Fatalf("%v is in bucket %d", d, i)
		}
		if i < latencyBuckets-1 && d >= bucketEnd(i) {
			t.Errorf("%v is beyond its bucket's end, %v", d, bucketEnd(i))
		}
		if i > 0 && i < latencyBuckets-1 && bucketEnd(i) > d+d/8+1 {
			t.Errorf("%v: the bucket ends at %v", d, bucketEnd(i))
		}
		if i > 0 && i < latencyBuckets-1 && d < bucketEnd(i-1) && i > 1 {
			t.Errorf("%v is below its bucket", d)
		}
	}
}

func TestPercentileSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &latency{born: time.Now()}
		note := func(n int, took time.Duration) {
			for range n {
				l.add(time.Now(), took)
			}
		}
		is := func(want time.Duration) {
			t.Helper()
			time.Sleep(latencyFresh)
			if got := l.most(time.Now()); want == 0 && got != 0 || want != 0 && (got <= want || got > want+want/8) {
				t.Errorf("the percentile is %v, want just above %v", got, want)
			}
		}
		note(19, time.Millisecond)
		is(0)
		note(76, time.Millisecond) // 95
		note(5, 80*time.Millisecond)
		is(time.Millisecond)
		note(1, 80*time.Millisecond)
		is(80 * time.Millisecond) // 6 of 101 take longer
		time.Sleep(latencySlots * latencySlot)
		is(0)
		note(20, 3*time.Millisecond)
		time.Sleep((latencySlots - 2) * latencySlot)
		note(1000, 9*time.Millisecond)
		is(9 * time.Millisecond)
		time.Sleep(time.Hour)
		is(0)
	})
}

// It agrees with sorting, whatever the distribution.
func TestPercentileAgreesWithSorting(t *testing.T) {
	l := &latency{born: time.Now()}
	now := time.Now()
	var all []time.Duration
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5000 {
				d := time.Duration(rand.ExpFloat64() * float64(20*time.Millisecond))
				l.add(now, d)
				mu.Lock()
				all = append(all, d)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(all)
	exact := all[len(all)*95/100]
	if got := l.percentile(now); got < exact-exact/1000 || got > exact+exact/8 {
		t.Errorf("%v, by sorting %v", got, exact)
	}
}

func TestLatenciesAreBounded(t *testing.T) {
	var l latencies
	for i := range 3 * maxLatencies {
		l.of("A.M" + string(rune('a'+i%26)) + time.Duration(i).String())
	}
	if len(l.methods) > maxLatencies+1 {
		t.Errorf("%d methods", len(l.methods))
	}
	if l.of("B.One") != l.of("B.Two") {
		t.Error("methods beyond the bound share nothing")
	}
}

func TestWhatTeachesALatency(t *testing.T) {
	l := &latency{born: time.Now()}
	n := &runner{begun: time.Now(), took: time.Millisecond}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	count := func() (total int) {
		for i := range l.slots {
			for j := range l.slots[i].counts {
				total += int(l.slots[i].counts[j].Load())
			}
		}
		return total
	}
	l.learn(context.Background(), n, 0)
	if count() != 1 {
		t.Error("a success teaches nothing")
	}
	delay := bucketEnd(bucketOf(100 * time.Microsecond))
	n.err = context.Canceled
	l.learn(ended, n, delay)
	if count() != 1 {
		t.Error("a caller that went away is taken for a latency")
	}
	l.learn(context.Background(), n, 0)
	if count() != 1 {
		t.Error("an attempt without an answer is taken for one though nothing is hedged")
	}
	asSlow := func() uint32 { return l.slots[0].counts[bucketOf(100*time.Microsecond)].Load() }
	late := protocol.NewError(protocol.DeadlineExceeded, "")
	for i, err := range []error{context.Canceled, context.DeadlineExceeded, late, late.WithOutcome(protocol.Ran)} {
		n.err = err
		if l.learn(context.Background(), n, delay); count() != 2+i || asSlow() != uint32(1+i) {
			t.Errorf("%v after the delay is not counted for the delay", err)
		}
	}
	n.record.Hedge = true
	l.learn(context.Background(), n, delay)
	if count() != 5 {
		t.Error("a hedge that was cancelled is taken for an answer")
	}
}
