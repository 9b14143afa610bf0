package selector_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/selector"
)

// picksOf returns how many of count picks go to each node of list.
func picksOf(t *testing.T, s selector.Selector, list []*selector.Node, count int) map[*selector.Node]int {
	t.Helper()
	picked := make(map[*selector.Node]int)
	for range count {
		picked[s.Pick(t.Context(), selector.PickInfo{}, list)]++
	}
	return picked
}

func TestP2CPrefersTheFasterOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, list := selector.NewP2CSelector(), nodes(2)
		update(s, list)
		list[0].Succeeded(time.Now(), 10*time.Millisecond)
		list[1].Succeeded(time.Now(), 30*time.Millisecond)
		if got := picksOf(t, s, list, 1000); got[list[1]] > 200 { // both draws are of one node an eighth of the time
			t.Errorf("the node three times as slow got %d of 1000 calls", got[list[1]])
		}
		for range 3 {
			list[0].Begin()
		}
		if got := picksOf(t, s, list, 1000); got[list[0]] > 200 {
			t.Errorf("the fast node got %d of 1000 calls with three in flight, which wait longer", got[list[0]])
		}
	})
}

func TestP2CGoesByCallsInFlightWhereNobodyHasAnswered(t *testing.T) {
	s, list := selector.NewP2CSelector(), nodes(2)
	list[0].Begin()
	if got := picksOf(t, s, list, 1000); got[list[0]] > 200 {
		t.Errorf("the busy node got %d of 1000 calls", got[list[0]])
	}
	list[1].Succeeded(time.Now(), time.Second) // the other counts as just as slow
	if got := picksOf(t, s, list, 1000); got[list[0]] > 200 {
		t.Errorf("the busy node that has not answered got %d of 1000 calls", got[list[0]])
	}
}

// Who fails fast looks fast, to whoever looks at latency alone.
func TestP2CIsNotDrawnToWhatFailsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, list := selector.NewP2CSelector(), nodes(3)
		update(s, list)
		got := make(map[*selector.Node]int)
		for range 3000 {
			time.Sleep(time.Millisecond)
			n := s.Pick(t.Context(), selector.PickInfo{}, list)
			got[n]++
			if n == list[0] {
				n.Failed(time.Now())
				continue
			}
			n.Succeeded(time.Now(), 10*time.Millisecond)
		}
		if got[list[0]] > 300 {
			t.Errorf("the node that fails got %d of 3000 calls", got[list[0]])
		}
		time.Sleep(time.Minute) // forgotten
		if got := picksOf(t, s, list, 3000); got[list[0]] < 500 {
			t.Errorf("a minute later the node got %d of 3000 calls", got[list[0]])
		}
	})
}

// An open loop over nodes one of which is ten times as slow: P2C keeps the queue
// there as short as elsewhere, which random does not.
func TestP2CLevelsWhatWaits(t *testing.T) {
	longest := func(s selector.Selector) (most int) {
		synctest.Test(t, func(t *testing.T) {
			s, list := s.New(), nodes(4)
			update(s, list)
			for range 4000 {
				time.Sleep(time.Millisecond)
				n := s.Pick(t.Context(), selector.PickInfo{}, list)
				n.Begin()
				most = max(most, list[3].InFlight())
				took := 10 * time.Millisecond
				if n == list[3] {
					took = 200 * time.Millisecond
				}
				took += rand.N(time.Millisecond)
				time.AfterFunc(took, func() {
					n.Succeeded(time.Now(), took)
					n.End()
				})
			}
			time.Sleep(time.Second)
		})
		return most
	}
	random, p2c := longest(selector.NewRandomSelector()), longest(selector.NewP2CSelector())
	t.Logf("at most %d calls at the slow node with random, %d with P2C", random, p2c)
	if p2c*3 > random {
		t.Errorf("at most %d calls at the slow node with P2C, %d with random", p2c, random)
	}
}
