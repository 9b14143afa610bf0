package backoff

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

func TestBounds(t *testing.T) {
	for _, test := range []struct {
		name      string
		policy    Policy
		failed    int
		low, high time.Duration
	}{
		{"zero value, first", Policy{}, 0, 50 * ms, 100 * ms},
		{"zero value, second", Policy{}, 1, 100 * ms, 200 * ms},
		{"zero value, sixth", Policy{}, 5, 1600 * ms, 3200 * ms},
		{"zero value, capped", Policy{}, 6, 2500 * ms, 5000 * ms},
		{"zero value, after a year", Policy{}, math.MaxInt, 2500 * ms, 5000 * ms},
		{"negative count", Policy{}, -3, 50 * ms, 100 * ms},
		{"full jitter", Policy{Jitter: FullJitter}, 3, ms, 800 * ms},
		{"negative settings", Policy{Initial: -1, Max: -1}, 0, 50 * ms, 100 * ms},
		{"one nanosecond", Policy{Initial: 1, Max: 1}, 9, ms, ms},
		{"cap below initial", Policy{Initial: time.Second, Max: ms}, 4, 500 * ms, time.Second},
		{"cap not a power of two", Policy{Initial: 100 * ms, Max: 250 * ms}, 2, 125 * ms, 250 * ms},
		{"no overflow", Policy{Initial: math.MaxInt64 / 2, Max: math.MaxInt64}, 3, math.MaxInt64 / 2, math.MaxInt64},
	} {
		t.Run(test.name, func(t *testing.T) {
			low, high := test.policy.Bounds(test.failed)
			if low != test.low || high != test.high {
				t.Errorf("Bounds(%d) = %v, %v, want %v, %v", test.failed, low, high, test.low, test.high)
			}
		})
	}
}

func TestDelayFillsItsBounds(t *testing.T) {
	for _, policy := range []Policy{{}, {Jitter: FullJitter}, {Initial: ms, Max: ms}, {Initial: math.MaxInt64, Max: math.MaxInt64}} {
		low, high := policy.Bounds(2)
		least, most := high, low
		for range 2000 {
			d := policy.Delay(2)
			if d < low || d > high {
				t.Fatalf("%+v: delay %v is outside %v to %v", policy, d, low, high)
			}
			least, most = min(least, d), max(most, d)
		}
		if tenth := (high - low) / 10; least > low+tenth || most < high-tenth {
			t.Errorf("%+v: 2000 delays reach from %v to %v only, of %v to %v", policy, least, most, low, high)
		}
	}
}

func TestWaitTakesOneDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fixed := Policy{Initial: ms, Max: ms} // its bounds are one point
		start := time.Now()
		for i := range 50 {
			if err := fixed.Wait(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 50*ms {
			t.Errorf("50 waits took %v, want exactly 50ms", took)
		}

		var b Backoff
		for i := range 10 {
			low, high := b.Policy.Bounds(i)
			start := time.Now()
			if err := b.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < low || took > high {
				t.Errorf("wait %d took %v, want %v to %v", i, took, low, high)
			}
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reason := errors.New("client closed")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		time.AfterFunc(7*ms, func() { cancel(reason) })
		start := time.Now()
		if err := (Policy{}).Wait(ctx, 9); !errors.Is(err, reason) {
			t.Errorf("Wait returned %v, want the cause", err)
		}
		if took := time.Since(start); took != 7*ms {
			t.Errorf("Wait returned after %v, want 7ms", took)
		}
		if err := (Policy{}).Wait(ctx, 9); !errors.Is(err, reason) || time.Since(start) != 7*ms {
			t.Errorf("Wait with an ended context returned %v after %v more", err, time.Since(start)-7*ms)
		}
	})
}

func TestZeroValueNeverHammers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var b Backoff
		for b.Wait(ctx) == nil {
		}
		// Six delays of at most 6.3 s together, then 2.5 s to 5 s each.
		if n := b.Failed(); n < 15 || n > 31 {
			t.Errorf("%d attempts in a minute of outage, want 15 to 31", n)
		}
	})
}

func TestResetStartsAgain(t *testing.T) {
	var b Backoff
	for range 20 {
		b.Next()
	}
	if d := b.Next(); d < 2500*ms {
		t.Errorf("delay after 20 failures is %v, want at least half of the cap", d)
	}
	b.Reset()
	if d := b.Next(); d > DefaultInitial {
		t.Errorf("delay after Reset is %v, want at most %v", d, DefaultInitial)
	}
	if b.Failed() != 1 {
		t.Errorf("Failed is %d after Reset and one Next, want 1", b.Failed())
	}
}
