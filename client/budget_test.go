package client

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetFollowsTheCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(0.2, 10)
		takes := func(want int) {
			t.Helper()
			got := 0
			for b.take() {
				got++
			}
			if got != want || b.left() != 0 {
				t.Errorf("%d retries allowed, want %d; %d left", got, want, b.left())
			}
		}
		takes(10) // whatever the calls are
		for range 100 {
			b.call(time.Now())
		}
		takes(10) // a fifth of a hundred, with those before
		time.Sleep(5 * time.Second)
		for range 100 {
			b.call(time.Now())
		}
		takes(20)
		time.Sleep(4999 * time.Millisecond)
		takes(0)
		time.Sleep(time.Millisecond)
		takes(0) // the first hundred are forgotten, and the retries that they paid for
		time.Sleep(5 * time.Second)
		takes(10)
		time.Sleep(time.Hour)
		takes(10)
	})
}

func TestBudgetOff(t *testing.T) {
	b := newBudget(-1, 10)
	b.call(time.Now())
	if !b.take() || b.left() != -1 {
		t.Error("a negative share bounds retries")
	}
	if newBudget(0.2, -1).take() {
		t.Error("a negative least allows a retry")
	}
}

func TestBudgetIsExactUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(0.2, 0)
		var wg sync.WaitGroup
		var mu sync.Mutex
		taken := 0
		for range 4 {
			wg.Go(func() {
				for range 1000 {
					b.call(time.Now())
					if b.take() {
						mu.Lock()
						taken++
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		for b.take() {
			taken++
		}
		if taken != 800 {
			t.Errorf("%d retries for 4000 calls", taken)
		}
	})
}
