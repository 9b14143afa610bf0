package ratelimit

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func onePerSecond(string) RateLimiter { return NewRateLimiter(1, 0) }

func TestEachKeyHasItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &PerKey{New: onePerSecond}
		for _, key := range []string{"a", "b"} {
			if err := p.For(key).TryAcquire(t.Context()); err != nil {
				t.Errorf("%s: %v", key, err)
			}
			wantRefused(t, p.For(key).TryAcquire(t.Context()), time.Second)
		}
	})
}

func TestKeysThatAreNotLimited(t *testing.T) {
	var none *PerKey
	for name, p := range map[string]*PerKey{"nil": none, "without New": {}, "New returns nil": {New: func(string) RateLimiter { return nil }}} {
		if p.For("a") != nil || p.For("") != nil {
			t.Errorf("%s: a limiter", name)
		}
	}
}

func TestTryingManyKeysGainsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &PerKey{New: onePerSecond, MaxKeys: 2, Idle: 10 * time.Second}
		a, b := p.For("a"), p.For("b")
		rest := p.For("c")
		if rest == a || rest == b || p.For("d") != rest || p.For("") != rest {
			t.Error("keys without a place do not share one limiter")
		}
		time.Sleep(9 * time.Second)
		if p.For("a") != a {
			t.Error("a was forgotten")
		}
		time.Sleep(time.Second) // b was not asked for in 10 s, a was
		if c := p.For("c"); c == rest || p.For("c") != c {
			t.Error("c has not taken the place of b")
		}
		if p.For("a") != a || p.For("b") != rest {
			t.Error("the wrong one was forgotten")
		}
		if len(p.places) != 2 || p.order.Len() != 2 {
			t.Errorf("%d and %d are kept", len(p.places), p.order.Len())
		}
	})
}

func TestKeysFromManyGoroutines(t *testing.T) {
	p := &PerKey{New: onePerSecond, MaxKeys: 8, Idle: time.Nanosecond}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 500 {
				if p.For(fmt.Sprint("key ", (i*j)%20)) == nil {
					t.Error("no limiter")
				}
			}
		})
	}
	all.Wait()
	if len(p.places) > 8 {
		t.Errorf("%d keys are kept", len(p.places))
	}
}
