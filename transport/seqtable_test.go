package transport

import (
	"math/rand/v2"
	"testing"
)

// Against a map, with numbers that count up, that collide, and that stay.
func TestSeqTableIsAMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var table seqTable[int]
	want := map[uint64]int{}
	next := uint64(0)
	for step := range 200_000 {
		seq := next
		switch r.IntN(4) {
		case 0:
			seq = uint64(r.IntN(8)) * largestRing * 2 // one place for all
		case 1:
			seq = uint64(r.Int64N(int64(next) + 1))
		}
		if r.IntN(2) == 0 || len(want) > 5000 {
			for k := range want { // some entry, so that the table empties too
				seq = k
				break
			}
			value, ok := table.take(seq)
			if wantValue, wantOK := want[seq]; value != wantValue || ok != wantOK {
				t.Fatalf("step %d: take(%d) = %d, %v", step, seq, value, ok)
			}
			delete(want, seq)
		} else {
			_, there := want[seq]
			if table.put(seq, step) == there {
				t.Fatalf("step %d: put(%d) with it there: %v", step, seq, there)
			}
			if !there {
				want[seq] = step
			}
			next++
		}
		if table.len() != len(want) {
			t.Fatalf("step %d: %d entries, want %d", step, table.len(), len(want))
		}
	}
	for seq, value := range want {
		if got, ok := table.get(seq); !ok || got != value {
			t.Errorf("get(%d) = %d, %v; want %d", seq, got, ok, value)
		}
	}
	if got := len(table.all()); got != len(want) {
		t.Errorf("all has %d entries, want %d", got, len(want))
	}
}
