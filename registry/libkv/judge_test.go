package libkv

import (
	"strings"
	"testing"
	"time"
)

// sight is one list, at a time since the first.
type sight struct {
	at     time.Duration
	faults uint64
	values map[string]string // of children with a TTL of 10 s, or 3 s if the name begins with "short"
	alive  string            // the names of those that live, of a, b and short, in this order
}

// The sentences are those of DESIGN.md, "Reading".
func TestJudge(t *testing.T) {
	const s, ns = time.Second, time.Nanosecond
	a := func(value string) map[string]string { return map[string]string{"a": value} }
	for name, sights := range map[string][]sight{
		"a reader without history takes an entry as alive for one TTL from its first list": {
			{0, 0, a("1"), "a"}, {5 * s, 0, a("1"), "a"}, {10*s - ns, 0, a("1"), "a"}, {10 * s, 0, a("1"), ""},
		},
		"also one that comes later": {
			{0, 0, nil, ""}, {9 * s, 0, a("1"), "a"}, {18 * s, 0, a("1"), "a"}, {19 * s, 0, a("1"), ""},
		},
		"a provider whose stamp has not moved for its TTL is dead": {
			{0, 0, a("1"), "a"}, {5 * s, 0, a("2"), "a"}, {10 * s, 0, a("2"), "a"}, {15*s - ns, 0, a("2"), "a"}, {15 * s, 0, a("2"), ""},
		},
		"each by its own TTL": {
			{0, 0, map[string]string{"a": "1", "short": "1"}, "a short"}, {2 * s, 0, map[string]string{"a": "1", "short": "1"}, "a short"},
			{3 * s, 0, map[string]string{"a": "1", "short": "1"}, "a"}, {5 * s, 0, map[string]string{"a": "1", "short": "2"}, "a short"},
		},
		"one that moves again lives again": {
			{0, 0, a("1"), "a"}, {6 * s, 0, a("1"), "a"}, {12 * s, 0, a("1"), ""}, {13 * s, 0, a("2"), "a"},
		},
		"any other value is a sign of life, an older one too": {
			{0, 0, a("2"), "a"}, {6 * s, 0, a("1"), "a"}, {12 * s, 0, a("2"), "a"}, {18 * s, 0, a("2"), "a"}, {22 * s, 0, a("2"), ""},
		},
		"one that is not listed does not live, and comes back without history": {
			{0, 0, a("1"), "a"}, {6 * s, 0, nil, ""}, {9 * s, 0, a("1"), "a"}, {15 * s, 0, a("1"), "a"}, {19 * s, 0, a("1"), ""},
		},
		"after a failed or late call all stamps count as just moved": {
			{0, 0, map[string]string{"a": "1", "b": "1"}, "a b"}, {9 * s, 1, map[string]string{"a": "1", "b": "1"}, "a b"},
			{18 * s, 1, map[string]string{"a": "1", "b": "1"}, "a b"}, {19 * s, 1, map[string]string{"a": "1", "b": "1"}, ""},
		},
		"also of one that was dead": {
			{0, 0, a("1"), "a"}, {6 * s, 0, a("1"), "a"}, {12 * s, 0, a("1"), ""}, {13 * s, 7, a("1"), "a"}, {20 * s, 7, a("1"), "a"}, {23 * s, 7, a("1"), ""},
		},
		"faults from before the first list are none of its": {
			{0, 99, a("1"), "a"}, {9 * s, 99, a("1"), "a"}, {10 * s, 99, a("1"), ""},
		},
		"a gap of a TTL between two lists counts as just moved": {
			{0, 0, a("1"), "a"}, {10 * s, 0, a("1"), "a"}, {15 * s, 0, a("1"), "a"}, {20 * s, 0, a("1"), ""},
		},
		"but not of one that was dead": {
			{0, 0, a("1"), "a"}, {6 * s, 0, a("1"), "a"}, {12 * s, 0, a("1"), ""}, {40 * s, 0, a("1"), ""}, {80 * s, 0, a("2"), "a"},
		},
		"a gap just below does not": {
			{0, 0, a("1"), "a"}, {10*s - ns, 0, a("1"), "a"}, {10 * s, 0, a("1"), ""},
		},
		"a gap is as long as the TTL of each": {
			{0, 0, map[string]string{"a": "1", "short": "1"}, "a short"}, {5 * s, 0, map[string]string{"a": "1", "short": "1"}, "a short"},
			{7 * s, 0, map[string]string{"a": "1", "short": "1"}, "a short"}, {9 * s, 0, map[string]string{"a": "1", "short": "1"}, "a"},
			{10 * s, 0, map[string]string{"a": "1", "short": "1"}, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var j judge
			for _, sight := range sights {
				if got := j.see(sight); got != sight.alive {
					t.Fatalf("alive at %v: %q, want %q", sight.at, got, sight.alive)
				}
			}
		})
	}
}

// see returns who lives when sight has been observed.
func (j *judge) see(sight sight) (alive string) {
	ttls := map[string]time.Duration{"a": 10 * time.Second, "b": 10 * time.Second, "short": 3 * time.Second}
	now := time.Unix(1e9, 0).Add(sight.at)
	children := make(map[string]observation)
	for name, value := range sight.values {
		children[name] = observation{value: value, ttl: ttls[name]}
	}
	j.observe(now, sight.faults, children)
	for _, name := range []string{"a", "b", "short"} {
		if j.alive(now, name) {
			if alive != "" {
				alive += " "
			}
			alive += name
		}
	}
	return alive
}

// Each case ends with who is suspect, of a, b and short, after its last sight.
func TestJudgeStandstill(t *testing.T) {
	const s = time.Second
	ab := func(a, b string) map[string]string { return map[string]string{"a": a, "b": b} }
	for name, test := range map[string]struct {
		sights []sight
		want   string
	}{
		"two that stand still, and nobody else": {[]sight{{0, 0, ab("1", "1"), "a b"}, {6 * s, 0, ab("1", "1"), "a b"}, {12 * s, 0, ab("1", "1"), ""}}, "a b"},
		"one alone has crashed": {[]sight{
			{0, 0, map[string]string{"a": "1"}, "a"}, {6 * s, 0, map[string]string{"a": "1"}, "a"}, {12 * s, 0, map[string]string{"a": "1"}, ""},
		}, ""},
		"one that moves shows that the other has crashed": {[]sight{
			{0, 0, ab("1", "1"), "a b"}, {6 * s, 0, ab("1", "2"), "a b"}, {12 * s, 0, ab("1", "3"), "b"},
		}, ""},
		"also when it stops later": {[]sight{
			{0, 0, ab("1", "1"), "a b"}, {6 * s, 0, ab("1", "2"), "a b"}, {12 * s, 0, ab("1", "3"), "b"}, {18 * s, 0, ab("1", "3"), "b"}, {24 * s, 0, ab("1", "3"), ""},
		}, ""},
		"one that stopped a little later shows nothing": {[]sight{
			{0, 0, ab("1", "1"), "a b"}, {6 * s, 0, ab("1", "2"), "a b"}, {12 * s, 0, ab("1", "2"), "b"}, {18 * s, 0, ab("1", "2"), ""},
		}, "a b"},
		"who moves again ends it for all": {[]sight{
			{0, 0, ab("1", "1"), "a b"}, {6 * s, 0, ab("1", "1"), "a b"}, {12 * s, 0, ab("1", "1"), ""}, {18 * s, 0, ab("2", "1"), "a b"}, {27 * s, 0, ab("3", "1"), "a b"}, {28 * s, 0, ab("3", "1"), "a"},
		}, ""},
		"so does who comes": {[]sight{
			{0, 0, ab("1", "1"), "a b"}, {6 * s, 0, ab("1", "1"), "a b"}, {12 * s, 0, ab("1", "1"), ""},
			{18 * s, 0, map[string]string{"a": "1", "b": "1", "short": "1"}, "a b short"},
		}, ""},
		"who goes does not": {[]sight{
			{0, 0, ab("1", "1"), "a b"}, {6 * s, 0, ab("1", "1"), "a b"}, {12 * s, 0, ab("1", "1"), ""}, {18 * s, 0, map[string]string{"a": "1"}, ""},
		}, "a"},
		"nor does a fault": {[]sight{
			{0, 0, ab("1", "1"), "a b"}, {6 * s, 0, ab("1", "1"), "a b"}, {12 * s, 0, ab("1", "1"), ""},
			{13 * s, 1, map[string]string{"a": "1"}, "a"}, {20 * s, 1, map[string]string{"a": "1"}, "a"}, {23 * s, 1, map[string]string{"a": "1"}, ""},
		}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			var j judge
			var last sight
			for _, last = range test.sights {
				if got := j.see(last); got != last.alive {
					t.Fatalf("alive at %v: %q, want %q", last.at, got, last.alive)
				}
			}
			now := time.Unix(1e9, 0).Add(last.at)
			var suspects []string
			for _, name := range []string{"a", "b", "short"} {
				if j.suspect(now, name) {
					suspects = append(suspects, name)
				}
			}
			if got := strings.Join(suspects, " "); got != test.want {
				t.Errorf("suspects %q, want %q", got, test.want)
			}
		})
	}
}

func TestJudgeZeroValue(t *testing.T) {
	var j judge
	if j.alive(time.Now(), "a") || !j.deadline("a").IsZero() {
		t.Error("somebody lives who was never listed")
	}
}

func TestJudgeDeadline(t *testing.T) {
	var j judge
	began := time.Unix(1e9, 0)
	j.observe(began, 0, map[string]observation{"a": {"1", 10 * time.Second}})
	j.observe(began.Add(6*time.Second), 0, map[string]observation{"a": {"1", 10 * time.Second}})
	at := j.deadline("a")
	if want := began.Add(10 * time.Second); !at.Equal(want) {
		t.Errorf("deadline %v, want %v", at, want)
	}
	if !j.alive(at.Add(-1), "a") || j.alive(at, "a") {
		t.Error("alive and deadline contradict each other")
	}
	// A TTL that was lowered holds at once, but not for a child that moved.
	j.observe(began.Add(7*time.Second), 0, map[string]observation{"a": {"2", 5 * time.Second}})
	if at, want := j.deadline("a"), began.Add(12*time.Second); !at.Equal(want) {
		t.Errorf("deadline %v with a TTL that was lowered, want %v", at, want)
	}
}
