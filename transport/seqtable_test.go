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

// What a burst made is let go of as its entries are taken, though some stay.
func TestSeqTableShrinks(t *testing.T) {
	var table seqTable[uint64]
	stay := []uint64{0, 1, largestRing - 1}
	for seq := range uint64(largestRing) {
		table.put(seq, seq)
	}
	for seq := range uint64(largestRing) {
		if seq > 1 && seq < largestRing-1 {
			table.take(seq)
		}
	}
	if len(table.ring) > keptRing {
		t.Errorf("%d places for %d entries", len(table.ring), table.len())
	}
	for _, seq := range stay {
		if got, ok := table.take(seq); !ok || got != seq {
			t.Errorf("take(%d) = %d, %v", seq, got, ok)
		}
	}
	if table.len() != 0 || len(table.moved) != 0 {
		t.Errorf("%d entries are left, %d of them moved", table.len(), len(table.moved))
	}
}

// A table takes no longer ring from another burst than it needs: it would be too long
// for it at once, and shrink with the session's lock held.
func TestSeqTableTakesARingOfItsLength(t *testing.T) {
	for range 100 { // a pool may drop what it is given, with the race detector it does
		var burst, table seqTable[string]
		for seq := range uint64(largestRing) {
			burst.put(seq, "")
		}
		for seq := range uint64(largestRing) {
			burst.take(seq)
		}
		for seq := range uint64(keptRing + 1) {
			table.put(seq, "")
		}
		if len(table.ring) != 2*keptRing {
			t.Fatalf("%d places for %d entries", len(table.ring), table.len())
		}
	}
}
