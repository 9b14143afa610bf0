package selector_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

func TestWarmth(t *testing.T) {
	const second = time.Second
	for _, test := range []struct {
		name      string
		slowStart time.Duration
		started   time.Duration // before the node is seen; negative: after
		at        time.Duration // after the node is seen
		want      float64
	}{
		{"at the start", 10 * second, 0, 0, 0.1},
		{"after a tenth", 10 * second, 0, second, 0.1},
		{"after a quarter", 10 * second, 0, 2500 * time.Millisecond, 0.25},
		{"half-way", 10 * second, 0, 5 * second, 0.5},
		{"just before the end", 10 * second, 0, 9999 * time.Millisecond, 0.9999},
		{"at the end", 10 * second, 0, 10 * second, 1},
		{"long after", 10 * second, 0, time.Hour, 1},
		{"seen late", 10 * second, 3 * second, second, 0.4},
		{"seen when it was warm", 10 * second, time.Hour, 0, 1},
		{"a clock that is ahead", 10 * second, -time.Hour, 5 * second, 0.5},
		{"off", 0, 0, 0, 1},
		{"negative", -second, 0, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := selector.NewNode(registry.Provider{Started: time.Now().Add(-test.started)})
				n.SlowStart = test.slowStart
				time.Sleep(test.at)
				if got := n.Warmth(time.Now()); math.Abs(got-test.want) > 1e-9 {
					t.Errorf("Warmth = %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestWarmthOfWhoDoesNotSayWhenItStarted(t *testing.T) {
	n := selector.NewNode(registry.Provider{})
	n.SlowStart = time.Hour
	if got := n.Warmth(time.Now()); got != 1 {
		t.Errorf("Warmth = %v, want 1", got)
	}
}

// Changed entries go on where they were; another instance begins anew.
func TestWarmthWhenTheEntryChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := registry.Provider{ProviderKey: "tcp@a:1", Started: time.Now()}
		n := selector.NewNode(first)
		n.SlowStart = 10 * time.Second
		time.Sleep(5 * time.Second)
		changed := first
		changed.Weight = 9
		if got := n.With(changed).Warmth(time.Now()); got != 0.5 {
			t.Errorf("with another weight: Warmth = %v, want 0.5", got)
		}
		restarted := first
		restarted.Started = time.Now()
		if got := n.With(restarted).Warmth(time.Now()); got != 0.1 {
			t.Errorf("restarted: Warmth = %v, want 0.1", got)
		}
	})
}

// A node that just joined gets its part of its part, whatever the policy.
func TestEveryPolicyStartsSlowly(t *testing.T) {
	for name, policy := range policies {
		for _, prepared := range []bool{true, false} {
			for _, test := range []struct {
				age  time.Duration
				warm float64
			}{{0, 0.1}, {5 * time.Second, 0.5}, {10 * time.Second, 1}} {
				synctest.Test(t, func(t *testing.T) {
					const rounds = 5_000
					list := nodes(4)
					cold := selector.NewNode(registry.Provider{ProviderKey: "cold", Started: time.Now()})
					cold.SlowStart = 10 * time.Second
					list = append(list, cold)
					time.Sleep(test.age)
					s, got := policy().New(), 0
					if prepared {
						update(s, list)
					}
					for range rounds {
						if s.Pick(t.Context(), selector.PickInfo{}, list) == cold {
							got++
						}
					}
					part := test.warm / (4 + test.warm)
					if sigma := math.Sqrt(rounds * part * (1 - part)); math.Abs(float64(got)-rounds*part) > 6*sigma {
						t.Errorf("%s, prepared %v, after %v: %d of %d calls, want about %v", name, prepared, test.age, got, rounds, rounds*part)
					}
				})
			}
		}
	}
}

// Where all are cold, all are alike.
func TestAllNodesCold(t *testing.T) {
	forEachPolicy(t, func(t *testing.T, s selector.Selector) {
		synctest.Test(t, func(t *testing.T) {
			list := nodes(3)
			for _, n := range list {
				n.Provider.Started, n.SlowStart = time.Now(), time.Minute
			}
			update(s, list)
			picked := make(map[*selector.Node]int)
			for range 3000 {
				picked[s.Pick(t.Context(), selector.PickInfo{}, list)]++
			}
			wantEven(t, picked, list, 3000)
		})
	})
}
