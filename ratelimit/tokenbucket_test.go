package ratelimit

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// queueUp starts callers that acquire a token one after the other, and returns
// where each says when it got one, counted from now.
func queueUp(l RateLimiter, ctxs ...context.Context) (granted func() []time.Duration) {
	var mu sync.Mutex
	at := make([]time.Duration, len(ctxs))
	begun := time.Now()
	var all sync.WaitGroup
	for i, ctx := range ctxs {
		all.Go(func() {
			err := l.Acquire(ctx)
			mu.Lock()
			defer mu.Unlock()
			if at[i] = time.Since(begun); err != nil {
				at[i] = -at[i]
			}
		})
		synctest.Wait() // it stands in the queue before the next comes
	}
	return func() []time.Duration {
		all.Wait()
		return at
	}
}

func wantRefused(t *testing.T, err error, after time.Duration) {
	t.Helper()
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.RetryAfter != after {
		t.Errorf("%v, want a refusal until %v from now", err, after)
	}
}

func TestATokenEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ctx := NewRateLimiter(10, 2), t.Context()
		granted := queueUp(l, ctx, ctx, ctx) // one at once, two wait
		wantRefused(t, l.Acquire(ctx), 100*time.Millisecond)
		wantRefused(t, l.TryAcquire(ctx), 300*time.Millisecond) // after those who wait
		want := []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond}
		if got := granted(); !slices.Equal(got, want) {
			t.Errorf("granted after %v, want %v", got, want)
		}
		time.Sleep(time.Hour) // saves up one token, no more
		if err := l.TryAcquire(ctx); err != nil {
			t.Errorf("after an hour: %v", err)
		}
		wantRefused(t, l.TryAcquire(ctx), 100*time.Millisecond)
		time.Sleep(40 * time.Millisecond)
		wantRefused(t, l.TryAcquire(ctx), 60*time.Millisecond)
	})
}

func TestWithoutAQueueNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, queue := range []int{0, -1} {
			l := NewRateLimiter(2, queue)
			if err := l.Acquire(t.Context()); err != nil {
				t.Error(err)
			}
			wantRefused(t, l.Acquire(t.Context()), 500*time.Millisecond)
		}
	})
}

func TestATokenThatWouldComeTooLateIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, begun := NewRateLimiter(10, 5), time.Now()
		if err := l.AcquireWithTimeout(t.Context(), 0); err != nil {
			t.Error(err)
		}
		wantRefused(t, l.AcquireWithTimeout(t.Context(), 0), 100*time.Millisecond)
		wantRefused(t, l.AcquireWithTimeout(t.Context(), 30*time.Millisecond), 70*time.Millisecond)
		short, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		wantRefused(t, l.Acquire(short), 40*time.Millisecond)
		wantRefused(t, l.AcquireWithTimeout(short, time.Hour), 40*time.Millisecond)
		if took := time.Since(begun); took != 0 {
			t.Errorf("that took %v", took)
		}
		if err := l.AcquireWithTimeout(t.Context(), 101*time.Millisecond); err != nil || time.Since(begun) != 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

func TestWhoGivesUpLeavesItsTurnToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ctx := NewRateLimiter(10, 9), t.Context()
		_ = l.TryAcquire(ctx)
		impatient, cancel := context.WithCancel(ctx)
		granted := queueUp(l, impatient, ctx, impatient, ctx)
		time.Sleep(50 * time.Millisecond)
		cancel()
		want := []time.Duration{-50 * time.Millisecond, 100 * time.Millisecond, -50 * time.Millisecond, 200 * time.Millisecond}
		if got := granted(); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}

		alone, cancel := context.WithTimeoutCause(ctx, time.Second, errors.New("no matter"))
		defer cancel()
		_ = l.TryAcquire(ctx)
		granted = queueUp(l, alone)
		cancel()
		if got := granted(); got[0] != 0 {
			t.Errorf("cancelled after %v", got)
		}
		time.Sleep(100 * time.Millisecond)
		if err := l.TryAcquire(ctx); err != nil {
			t.Errorf("the token of one who left the queue empty: %v", err)
		}
	})
}

func TestACallerThatHasEndedTakesNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, l := range []RateLimiter{NewRateLimiter(1, 1), NewRateLimiter(0, 0)} {
			for _, err := range []error{l.Acquire(ended), l.TryAcquire(ended), l.AcquireWithTimeout(ended, time.Second)} {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
			if err := l.TryAcquire(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestARateThatIsNoneLimitsNothing(t *testing.T) {
	for _, perSecond := range []float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		l := NewRateLimiter(perSecond, 0)
		for range 1000 {
			if err := errors.Join(l.TryAcquire(t.Context()), l.Acquire(t.Context()), l.AcquireWithTimeout(t.Context(), time.Second)); err != nil {
				t.Fatalf("rate %v: %v", perSecond, err)
			}
		}
	}
}

func TestRatesAtTheEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := NewRateLimiter(math.SmallestNonzeroFloat64, 1)
		_ = slow.TryAcquire(t.Context())
		wantRefused(t, slow.TryAcquire(t.Context()), 1e18)
		fast := NewRateLimiter(math.MaxFloat64, 1)
		for range 1000 {
			if err := fast.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A timer may come late by many tokens: they are not lost.
func TestALateTimerLosesNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(10, 9).(*tokenBucket)
		ctx := t.Context()
		granted := queueUp(l, ctx, ctx, ctx, ctx, ctx)
		l.timer.Stop()
		time.Sleep(350 * time.Millisecond)
		l.handOut()
		late := 350 * time.Millisecond
		want := []time.Duration{0, late, late, late, 400 * time.Millisecond}
		if got := granted(); !slices.Equal(got, want) {
			t.Errorf("granted after %v, want %v", got, want)
		}
	})
}

// Who gives up when the token is due, and the timer is not yet there, leaves it.
func TestALateTimerLosesNoTokenOfTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(10, 1).(*tokenBucket)
		_ = l.TryAcquire(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		granted := queueUp(l, ctx)
		l.timer.Stop()
		time.Sleep(150 * time.Millisecond)
		cancel()
		if got := granted(); got[0] != -150*time.Millisecond {
			t.Errorf("%v", got)
		}
		if err := l.TryAcquire(t.Context()); err != nil {
			t.Error(err)
		}
		wantRefused(t, l.TryAcquire(t.Context()), 100*time.Millisecond) // one, and no more
	})
}

// However callers come, give up and try, no token comes early, and while the
// queue is not empty none is lost.
func TestTokensAreKeptCountOf(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 1))
		const perSecond, span = 1000, 2 * time.Second
		l := NewRateLimiter(perSecond, 20)
		var mu sync.Mutex
		var granted []time.Time
		var all sync.WaitGroup
		for begun := time.Now(); time.Since(begun) < span; time.Sleep(time.Duration(random.Int64N(int64(600 * time.Microsecond)))) {
			ctx, cancel := context.WithCancel(t.Context())
			patience := time.Duration(random.Int64N(int64(40 * time.Millisecond)))
			givesUp := time.AfterFunc(patience, cancel)
			all.Go(func() {
				defer cancel()
				defer givesUp.Stop()
				if l.Acquire(ctx) == nil {
					mu.Lock()
					granted = append(granted, time.Now())
					mu.Unlock()
				}
			})
		}
		all.Wait()
		for i := 1; i < len(granted); i++ {
			if gap := granted[i].Sub(granted[i-1]); gap < time.Second/perSecond-time.Nanosecond {
				t.Fatalf("two tokens within %v", gap)
			}
		}
		if least := int(span.Seconds() * perSecond * 0.99); len(granted) < least {
			t.Errorf("%d tokens in %v, want %d at least", len(granted), span, least)
		}
	})
}

func TestATokenThatIsThereAllocatesNothing(t *testing.T) {
	l, ctx := NewRateLimiter(1e9, 1), context.Background()
	if allocs := testing.AllocsPerRun(1000, func() { _ = l.Acquire(ctx) }); allocs > 0.5 {
		t.Errorf("%v allocations", allocs)
	}
}
