package selector_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

func nodes(n int) []*selector.Node {
	out := make([]*selector.Node, n)
	for i := range out {
		out[i] = selector.NewNode(registry.Provider{ProviderKey: fmt.Sprintf("tcp@10.0.0.%d:1", i)})
	}
	return out
}

// policies is every Selector of the package: what follows holds for all.
var policies = map[string]func() selector.Selector{
	"random":               selector.NewRandomSelector,
	"round robin":          selector.NewRoundRobinSelector,
	"weighted round robin": selector.NewWeightedRoundRobinSelector,
	"P2C":                  selector.NewP2CSelector,
	"consistent hash":      func() selector.Selector { return selector.NewConsistentHashSelector(0) },
}

// update tells s of list, as a client does, if s wants to know.
func update(s selector.Selector, list []*selector.Node) {
	if u, ok := s.(selector.Updater); ok {
		u.Update(list)
	}
}

// forEachPolicy runs test with each policy.
func forEachPolicy(t *testing.T, test func(*testing.T, selector.Selector)) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) { test(t, policy().New()) })
	}
}

func TestPickFromFew(t *testing.T) {
	forEachPolicy(t, func(t *testing.T, s selector.Selector) {
		if n := s.Pick(t.Context(), selector.PickInfo{}, nil); n != nil {
			t.Errorf("picked %v from no nodes", n.Provider.ProviderKey)
		}
		one := nodes(1)
		if n := s.Pick(t.Context(), selector.PickInfo{}, one); n != one[0] {
			t.Errorf("picked %v from one node", n)
		}
	})
}

func TestPickSpreadsEvenly(t *testing.T) {
	forEachPolicy(t, func(t *testing.T, s selector.Selector) {
		const count, rounds = 10, 20_000
		list := nodes(count)
		picked := make(map[*selector.Node]int)
		for range rounds {
			picked[s.Pick(t.Context(), selector.PickInfo{}, list)]++
		}
		wantEven(t, picked, list, rounds)
		update(s, list)
		clear(picked)
		for range rounds {
			picked[s.Pick(t.Context(), selector.PickInfo{}, list)]++
		}
		wantEven(t, picked, list, rounds)
	})
}

func wantEven(t *testing.T, picked map[*selector.Node]int, list []*selector.Node, rounds int) {
	t.Helper()
	// A fair draw is within 6 standard deviations but once in 10^8 runs.
	mean := float64(rounds) / float64(len(list))
	sigma := math.Sqrt(mean * (1 - 1/float64(len(list))))
	for _, n := range list {
		if got := float64(picked[n]); math.Abs(got-mean) > 6*sigma {
			t.Errorf("%s was picked %v times of %d, want about %v", n.Provider.ProviderKey, got, rounds, mean)
		}
	}
}

// Nobody is picked who is not in the list of this call, whatever was prepared.
func TestPickFromWhatIsThere(t *testing.T) {
	forEachPolicy(t, func(t *testing.T, s selector.Selector) {
		list := nodes(10)
		update(s, list)
		changed := list[4].With(registry.Provider{ProviderKey: list[4].Provider.ProviderKey, Weight: 3})
		some := []*selector.Node{list[7], changed}
		picked := make(map[*selector.Node]int)
		for i := range 2000 {
			info := selector.PickInfo{}
			if i%2 == 0 {
				info.Key = fmt.Sprint("key ", i)
			}
			picked[s.Pick(t.Context(), info, some)]++
		}
		if len(picked) != 2 || picked[some[0]] == 0 || picked[some[1]] == 0 {
			t.Errorf("picked %v from two nodes", picked)
		}
		strangers := nodes(2)
		if n := s.Pick(t.Context(), selector.PickInfo{Key: "k"}, strangers); n != strangers[0] && n != strangers[1] {
			t.Errorf("picked %v from two nodes that were never in a list", n)
		}
		update(s, nil)
		if n := s.Pick(t.Context(), selector.PickInfo{Key: "k"}, nil); n != nil {
			t.Errorf("picked %v from an empty list", n)
		}
	})
}

func TestPickAllocatesNothing(t *testing.T) {
	forEachPolicy(t, func(t *testing.T, s selector.Selector) {
		list := nodes(1000)
		ctx := t.Context()
		info := selector.PickInfo{ServiceMethod: "Arith.Add", Key: "u42", Tags: map[string]string{"idc": "lf"}}
		for _, prepared := range []bool{false, true} {
			if prepared {
				update(s, list)
			}
			if n := testing.AllocsPerRun(1000, func() { s.Pick(ctx, info, list) }); n != 0 {
				t.Errorf("prepared %v: Pick from 1000 nodes allocates %v times", prepared, n)
			}
		}
	})
}

func TestPickConcurrently(t *testing.T) {
	forEachPolicy(t, func(t *testing.T, s selector.Selector) {
		list := nodes(3)
		list[2].SlowStart = time.Millisecond
		var callers sync.WaitGroup
		callers.Go(func() {
			for range 100 {
				update(s, nodes(3))
				update(s, list)
			}
		})
		for range 8 {
			callers.Go(func() {
				for i := range 1000 {
					n := s.Pick(t.Context(), selector.PickInfo{Key: fmt.Sprint(i % 7)}, list)
					n.Begin()
					now := time.Now()
					n.Latency(now)
					n.Succeeded(now, time.Millisecond)
					n.End()
				}
			})
		}
		callers.Wait()
		for _, n := range list {
			if n.InFlight() != 0 {
				t.Errorf("%d calls in flight after the last", n.InFlight())
			}
		}
	})
}

func TestNodeKeepsItsHistoryWhenTheEntryChanges(t *testing.T) {
	old := selector.NewNode(registry.Provider{ProviderKey: "tcp@a:1", Weight: 1})
	old.Begin()
	old.Failed(time.Now())
	n := old.With(registry.Provider{ProviderKey: "tcp@a:1", Weight: 5})
	if n.Provider.Weight != 5 || old.Provider.Weight != 1 {
		t.Errorf("weights are %d and %d, want 5 for the new and 1 for the old", n.Provider.Weight, old.Provider.Weight)
	}
	if n.InFlight() != 1 || n.Failures() != 1 {
		t.Errorf("the new node has %d in flight and %d failures, want 1 and 1", n.InFlight(), n.Failures())
	}
	old.End() // the call ends on the node that it began on
	if n.InFlight() != 0 {
		t.Errorf("%d in flight after the call on the old node ended", n.InFlight())
	}
}

func TestNodeOfAnotherInstanceHasNotFailed(t *testing.T) {
	first := registry.Provider{ProviderKey: "tcp@a:1", Started: time.Now()}
	old := selector.NewNode(first)
	old.Begin()
	old.Failed(time.Now())
	restarted := first
	restarted.Started = first.Started.Add(time.Minute)
	n := old.With(restarted)
	if n.Failures() != 0 || !n.LastFailure().IsZero() {
		t.Errorf("a restarted provider has %d failures, the last at %v", n.Failures(), n.LastFailure())
	}
	if old.End(); n.InFlight() != 0 {
		t.Errorf("%d in flight after the call on the old instance ended", n.InFlight())
	}
}

func TestNodeFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := selector.NewNode(registry.Provider{})
		if !n.LastFailure().IsZero() || n.Failures() != 0 {
			t.Errorf("a new node has %d failures, the last at %v", n.Failures(), n.LastFailure())
		}
		n.Failed(time.Now())
		time.Sleep(time.Second)
		n.Failed(time.Now())
		failed := time.Now()
		if n.Failures() != 2 || !n.LastFailure().Equal(failed) {
			t.Errorf("%d failures, the last at %v, want 2 at %v", n.Failures(), n.LastFailure(), failed)
		}
		time.Sleep(time.Second)
		n.Succeeded(time.Now(), time.Millisecond)
		if n.Failures() != 0 || !n.LastFailure().Equal(failed) {
			t.Errorf("after a success: %d failures, the last at %v, want 0 and still %v", n.Failures(), n.LastFailure(), failed)
		}
	})
}

// Who is too slow for a hedged call has not failed, and has not succeeded.
func TestNodeFailuresAndSilence(t *testing.T) {
	n := selector.NewNode(registry.Provider{})
	n.Unanswered(time.Now(), time.Second)
	if n.Failures() != 0 || !n.LastFailure().IsZero() {
		t.Error("an attempt without an answer is a failure")
	}
	n.Failed(time.Now())
	n.Unanswered(time.Now(), time.Second)
	if n.Failures() != 1 {
		t.Error("an attempt without an answer makes up for a failure")
	}
}

func TestNodeLatency(t *testing.T) {
	const ms = time.Millisecond
	answers := func(n *selector.Node, every, took time.Duration, count int) {
		for range count {
			time.Sleep(every)
			n.Succeeded(time.Now(), took)
		}
	}
	for _, test := range []struct {
		name string
		do   func(n *selector.Node)
		want time.Duration
	}{
		{"before the first answer", func(*selector.Node) {}, 0},
		{"after one answer", func(n *selector.Node) { answers(n, ms, 40*ms, 1) }, 40 * ms},
		{"a steady node", func(n *selector.Node) { answers(n, 10*ms, 20*ms, 1000) }, 20 * ms},
		{"half forgotten after 3.466 s", func(n *selector.Node) {
			answers(n, 0, 80*ms, 1)
			time.Sleep(3466 * ms)
		}, 40 * ms},
		{"half way to a new level after 3.466 s", func(n *selector.Node) {
			answers(n, 10*ms, 20*ms, 1000)
			answers(n, 10*ms, 100*ms, 346)
		}, 60 * ms},
		{"a day of silence", func(n *selector.Node) {
			answers(n, 0, time.Hour, 1)
			time.Sleep(24 * time.Hour)
		}, 0},
		{"the first answer of a millisecond counts", func(n *selector.Node) {
			answers(n, ms, 10*ms, 1)
			answers(n, 0, time.Hour, 100)
		}, 10 * ms},
		{"silence past half the clock", func(n *selector.Node) {
			answers(n, 0, time.Hour, 1)
			time.Sleep(30 * 24 * time.Hour)
			answers(n, 0, 10*ms, 1)
		}, 10 * ms},
		{"no answer in more than the average", func(n *selector.Node) {
			answers(n, 10*ms, 20*ms, 1000)
			time.Sleep(3466 * ms) // half forgotten
			n.Unanswered(time.Now(), 100*ms)
		}, 60 * ms},
		{"no answer in less than the average", func(n *selector.Node) {
			answers(n, 10*ms, 20*ms, 1000)
			time.Sleep(ms)
			n.Unanswered(time.Now(), 19*ms)
		}, 20 * ms},
		{"no answer yet", func(n *selector.Node) { n.Unanswered(time.Now(), 30*ms) }, 30 * ms},
		{"an answer in no time", func(n *selector.Node) { answers(n, ms, 0, 1) }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := selector.NewNode(registry.Provider{})
				test.do(n)
				got := n.Latency(time.Now())
				if diff := (got - test.want).Abs(); diff > test.want/100 {
					t.Errorf("Latency = %v, want %v within 1 %%", got, test.want)
				}
			})
		})
	}
}

// A concurrent caller may read its clock before and report after another.
func TestNodeLatencyOutOfOrder(t *testing.T) {
	n := selector.NewNode(registry.Provider{})
	now := time.Now().Add(time.Minute)
	n.Succeeded(now, 10*time.Millisecond)
	n.Succeeded(now.Add(-5*time.Millisecond), time.Hour)
	if got := n.Latency(now.Add(-5 * time.Millisecond)).Round(time.Microsecond); got != 10*time.Millisecond {
		t.Errorf("Latency = %v, want 10ms: neither decayed nor replaced", got)
	}
}

func TestBaseFilterLetsEverythingPass(t *testing.T) {
	var f selector.Filter = selector.BaseFilter{}
	if n := nodes(1)[0]; !f.Static(n) || !f.PerCall(t.Context(), selector.PickInfo{}, n) {
		t.Error("BaseFilter keeps a node out")
	}
}

// Of a thousand nodes of different weights, as a client picks: prepared.
func BenchmarkPick(b *testing.B) {
	for name, policy := range policies {
		b.Run(name, func(b *testing.B) {
			s, list, ctx := policy().New(), nodes(1000), context.Background()
			for i, n := range list {
				n.Provider.Weight = 1 + i%5
				n.Succeeded(time.Now(), time.Duration(1+i%7)*time.Millisecond)
			}
			update(s, list)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					s.Pick(ctx, selector.PickInfo{Key: "u42"}, list)
				}
			})
		})
	}
}
