package selector_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// homes returns where each of count keys goes.
func homes(t *testing.T, s selector.Selector, list []*selector.Node, count int) []string {
	t.Helper()
	out := make([]string, count)
	for i := range out {
		out[i] = s.Pick(t.Context(), selector.PickInfo{Key: fmt.Sprint("user ", i)}, list).Provider.ProviderKey
	}
	return out
}

func TestKeysHaveAHome(t *testing.T) {
	const keys = 5_000
	list := nodes(10)
	s := selector.NewConsistentHashSelector(0).New()
	update(s, list)
	before := homes(t, s, list, keys)
	if !slices.Equal(before, homes(t, s, list, keys)) {
		t.Error("keys moved though nothing changed")
	}
	another := selector.NewConsistentHashSelector(2)
	shuffled := slices.Clone(list)
	slices.Reverse(shuffled)
	update(another, shuffled)
	if !slices.Equal(before, homes(t, another, shuffled, keys)) {
		t.Error("two clients do not agree")
	}
	share := make(map[string]int)
	for _, home := range before {
		share[home]++
	}
	for key, n := range share {
		if n < keys/10/2 || n > keys/10*2 {
			t.Errorf("%s is home to %d of %d keys", key, n, keys)
		}
	}

	rest := slices.Delete(slices.Clone(list), 3, 4)
	update(s, rest)
	for i, home := range homes(t, s, rest, keys) {
		if gone := list[3].Provider.ProviderKey; home != before[i] && before[i] != gone {
			t.Fatalf("key %d moved from %s to %s though only %s left", i, before[i], home, gone)
		}
	}
	joined := append(slices.Clone(list), selector.NewNode(registry.Provider{ProviderKey: "tcp@new:1"}))
	update(s, joined)
	moved := 0
	for i, home := range homes(t, s, joined, keys) {
		if home == before[i] {
			continue
		}
		if moved++; home != "tcp@new:1" {
			t.Fatalf("key %d moved from %s to %s though only a new node came", i, before[i], home)
		}
	}
	if moved < keys/11/2 || moved > keys/11*2 {
		t.Errorf("%d of %d keys moved to the eleventh node", moved, keys)
	}
}

func TestKeysOfAHeavierNode(t *testing.T) {
	s, list := selector.NewConsistentHashSelector(0), weighing(10, 30)
	update(s, list)
	share := make(map[string]int)
	for _, home := range homes(t, s, list, 10_000) {
		share[home]++
	}
	if share["b"] < 6500 || share["b"] > 8500 {
		t.Errorf("the node of three times the weight is home to %d of 10000 keys", share["b"])
	}
}

// A key that was tried at its home goes to the next on the ring, the same for
// every call, and the keys of others stay.
func TestKeysWithoutOneNode(t *testing.T) {
	s, list := selector.NewConsistentHashSelector(0), nodes(5)
	update(s, list)
	before := homes(t, s, list, 1000)
	some := slices.Delete(slices.Clone(list), 2, 3)
	after := homes(t, s, some, 1000)
	if !slices.Equal(after, homes(t, s, some, 1000)) {
		t.Error("keys moved though nothing changed")
	}
	update(s, some)
	if !slices.Equal(after, homes(t, s, some, 1000)) {
		t.Error("a list for one call and the same as a whole do not agree")
	}
	for i := range before {
		if before[i] != after[i] && before[i] != list[2].Provider.ProviderKey {
			t.Fatalf("key %d moved from %s", i, before[i])
		}
	}
}

// Of a list that the ring does not hold, each key has one node too, by weight and within
// the bound.
func TestKeysOffTheRing(t *testing.T) {
	for _, ring := range [][]*selector.Node{nil, nodes(3)} {
		t.Run(fmt.Sprint("a ring of ", len(ring)), func(t *testing.T) {
			s, list := selector.NewConsistentHashSelector(0), weighing(10, 30)
			update(s, ring)
			const keys = 4_000
			before := homes(t, s, list, keys)
			if !slices.Equal(before, homes(t, s, []*selector.Node{list[1], list[0]}, keys)) {
				t.Error("keys moved though nothing changed")
			}
			heavier := 0
			for _, home := range before {
				if home == "b" {
					heavier++
				}
			}
			if heavier < 2850 || heavier > 3150 {
				t.Errorf("the node of three times the weight is home to %d of %d keys", heavier, keys)
			}
			for i, home := range homes(t, s, weighing(10, 30, 5), keys) {
				if home != before[i] && home != "c" {
					t.Fatalf("key %d moved from %s to %s though only a new node came", i, before[i], home)
				}
			}
			for i := range 400 {
				s.Pick(t.Context(), selector.PickInfo{Key: "hot"}, list).Begin()
				for _, n := range list {
					if limit := int(math.Ceil(1.25 * float64(i+1) * float64(n.Weight()) / 40)); n.InFlight() > limit {
						t.Fatalf("of %d calls %d are at one node, want at most %d", i+1, n.InFlight(), limit)
					}
				}
			}
		})
	}
}

// One key is as hot as can be: its calls stay within the bound at each node, for
// lists of every length.
func TestLoadsAreBounded(t *testing.T) {
	for _, test := range []struct {
		bound float64
		nodes int
		calls int
		slack int // of a count that is not taken anew for each pick
	}{
		{1.25, 4, 400, 0}, {2, 4, 400, 0}, {1.01, 10, 1000, 0}, {1.25, 500, 2000, 1},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			list := nodes(test.nodes)
			s := selector.NewConsistentHashSelector(test.bound)
			update(s, list)
			for i := range test.calls {
				s.Pick(t.Context(), selector.PickInfo{Key: "hot"}, list).Begin()
				limit := int(math.Ceil(test.bound*float64(i+1)/float64(test.nodes))) + test.slack
				for _, n := range list {
					if n.InFlight() > limit {
						t.Fatalf("of %d calls %d are at one node, want at most %d", i+1, n.InFlight(), limit)
					}
				}
			}
		})
	}
}

func TestLoadsWithoutABound(t *testing.T) {
	list := nodes(4)
	s := selector.NewConsistentHashSelector(-1)
	update(s, list)
	first := s.Pick(t.Context(), selector.PickInfo{Key: "hot"}, list)
	for range 100 {
		n := s.Pick(t.Context(), selector.PickInfo{Key: "hot"}, list)
		if n.Begin(); n != first {
			t.Fatal("a key left its home, and no bound was asked for")
		}
	}
}

// Calls by tags see a part of the ring: their bound is that of the part.
func TestLoadsAreBoundedInAPartOfTheRing(t *testing.T) {
	list := nodes(1000)
	s := selector.NewConsistentHashSelector(0)
	update(s, list)
	part := []*selector.Node{list[17], list[500], list[901]}
	for i := range 300 {
		s.Pick(t.Context(), selector.PickInfo{Key: "hot"}, part).Begin()
		for _, n := range part {
			if limit := int(math.Ceil(1.25 * float64(i+1) / 3)); n.InFlight() > limit {
				t.Fatalf("of %d calls %d are at one node, want at most %d", i+1, n.InFlight(), limit)
			}
		}
	}
}

func TestAColdHomeHasLessRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := nodes(2)
		s := selector.NewConsistentHashSelector(2)
		update(s, list)
		home := s.Pick(t.Context(), selector.PickInfo{Key: "hot"}, list)
		home.Provider.Started, home.SlowStart = time.Now(), time.Minute
		for range 100 {
			s.Pick(t.Context(), selector.PickInfo{Key: "hot"}, list).Begin()
		}
		if n := home.InFlight(); n < 10 || n > 11 {
			t.Errorf("of 100 calls %d are at the cold home, want a tenth", n)
		}
	})
}
