package selector_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// weighing returns one node for each weight, named a, b, c and so on.
func weighing(weights ...int) []*selector.Node {
	out := make([]*selector.Node, len(weights))
	for i, w := range weights {
		out[i] = selector.NewNode(registry.Provider{ProviderKey: string(rune('a' + i)), Weight: w})
	}
	return out
}

func TestWeight(t *testing.T) {
	for _, test := range []struct{ listed, want int }{
		{0, 1}, {1, 1}, {7, 7}, {-5, 1}, {1_000_000, 1_000_000}, {math.MaxInt, 1_000_000},
	} {
		if got := weighing(test.listed)[0].Weight(); got != test.want {
			t.Errorf("a provider that lists %d weighs %d, want %d", test.listed, got, test.want)
		}
	}
}

// All policies but round robin and keyed calls give each node its weight's part.
func TestWeightsAreHonoured(t *testing.T) {
	for _, name := range []string{"random", "weighted round robin", "P2C", "consistent hash"} {
		for _, weights := range [][]int{{1, 2, 3, 4}, {100, 1, 1}, {0, 3}, {math.MaxInt, math.MaxInt, 500_000}} {
			for _, prepared := range []bool{true, false} {
				t.Run(fmt.Sprint(name, " ", weights, " prepared ", prepared), func(t *testing.T) {
					const rounds = 10_000
					s, list := policies[name]().New(), weighing(weights...)
					if prepared {
						update(s, list)
					}
					sum, picked := 0, make(map[*selector.Node]int)
					for _, n := range list {
						sum += n.Weight()
					}
					for range rounds {
						picked[s.Pick(t.Context(), selector.PickInfo{}, list)]++
					}
					for _, n := range list {
						part := float64(n.Weight()) / float64(sum)
						sigma := math.Sqrt(rounds * part * (1 - part))
						if want := rounds * part; math.Abs(float64(picked[n])-want) > 6*sigma {
							t.Errorf("weight %d was picked %d times of %d, want about %v", n.Weight(), picked[n], rounds, want)
						}
					}
				})
			}
		}
	}
}

// A list that was made for one call has weights of its own, whatever those are that was
// prepared for.
func TestWeightsOfAnotherListAreHonoured(t *testing.T) {
	for _, name := range []string{"random", "weighted round robin", "P2C", "consistent hash"} {
		for _, prepared := range [][]int{nil, {1, 1, 1}, {1, 1}, {1, 9}} {
			t.Run(fmt.Sprint(name, " prepared for ", prepared), func(t *testing.T) {
				const rounds = 10_000
				s, list := policies[name]().New(), weighing(100, 1)
				update(s, weighing(prepared...))
				first := 0
				for range rounds {
					if s.Pick(t.Context(), selector.PickInfo{}, list) == list[0] {
						first++
					}
				}
				if want := rounds * 100 / 101; first < want-60 || first > want+60 { // 6 sigma
					t.Errorf("the node of a hundred times the weight was picked %d times of %d, want about %d", first, rounds, want)
				}
			})
		}
	}
}

func turns(t *testing.T, s selector.Selector, list []*selector.Node, count int) string {
	t.Helper()
	var got strings.Builder
	for range count {
		got.WriteString(s.Pick(t.Context(), selector.PickInfo{}, list).Provider.ProviderKey)
	}
	return got.String()
}

func TestRoundRobinTakesTurns(t *testing.T) {
	s := selector.NewRoundRobinSelector()
	if got := turns(t, s, weighing(1, 5, 1), 9); !strings.Contains("abcabcabcabc", got) {
		t.Errorf("turns were %s", got)
	}
}

func TestWeightedRoundRobinIsSmooth(t *testing.T) {
	for _, test := range []struct {
		weights []int
		round   string
	}{
		{[]int{5, 1, 1}, "aabacaa"},
		{[]int{50, 10, 10}, "aabacaa"},
		{[]int{1, 1, 1}, "abc"},
		{[]int{3, 2}, "abaab"},
		{[]int{4}, "a"},
	} {
		s, list := selector.NewWeightedRoundRobinSelector(), weighing(test.weights...)
		update(s, list)
		if got := turns(t, s, list, 3*len(test.round)); !strings.Contains(strings.Repeat(test.round, 4), got) {
			t.Errorf("%v: turns were %s, want %s again and again", test.weights, got, test.round)
		}
	}
}

// Weights that no schedule of a sensible length can tell apart are rounded, and
// nobody is left out.
func TestWeightedRoundRobinRoundsWhatIsTooLong(t *testing.T) {
	list := nodes(1000)
	for i, n := range list {
		n.Provider.Weight = 1009 + i
	}
	list[0].Provider.Weight = 1
	s := selector.NewWeightedRoundRobinSelector()
	update(s, list)
	picked := make(map[*selector.Node]int)
	for range 8 * 1000 * 3 {
		picked[s.Pick(t.Context(), selector.PickInfo{}, list)]++
	}
	if len(picked) != 1000 {
		t.Errorf("%d of 1000 nodes were picked", len(picked))
	}
	if light, heavy := picked[list[1]], picked[list[999]]; heavy < 3*light/2 || heavy > 3*light {
		t.Errorf("weights %d and %d were picked %d and %d times", list[1].Weight(), list[999].Weight(), light, heavy)
	}
}
