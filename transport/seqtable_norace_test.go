//go:build !race

package transport

import (
	"runtime"
	"testing"
)

// Bursts that come one after the other grow the table, and let it shrink, without rings
// of their own. The race detector has pools drop what they are given.
func TestSeqTableLeavesItsRingsToTheNextBurst(t *testing.T) {
	var table seqTable[[]byte]
	burst := func() (bytes uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for seq := range uint64(largestRing) {
			table.put(seq, nil)
		}
		for seq := range uint64(largestRing) {
			table.take(seq)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	least := burst()
	for range 20 { // a collection empties the pools
		least = min(least, burst())
	}
	if least > 4<<10 {
		t.Errorf("a burst allocates %d bytes", least)
	}
}
