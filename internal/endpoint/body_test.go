package endpoint

import (
	"runtime"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
)

// Bytes that inflate to nothing cost no more room than the limit.
func TestRoomToInflateIsBounded(t *testing.T) {
	const limit = 8 << 20
	garbage := make([]byte, limit)
	h := protocol.Header{SerializeType: protocol.SerializeTypeJSON, CompressType: protocol.CompressTypeGzip}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var v any
	if err := unmarshal(&h, garbage, &v, limit, 0); err == nil {
		t.Error("garbage was inflated")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > limit+limit/4 {
		t.Errorf("%d bytes were allocated, the limit is %d", got, limit)
	}
}

// One large body has a few small ones take much room, not hundreds.
func TestSizeOfOneLargeBodyIsForgotten(t *testing.T) {
	var sizes sizeHint
	sizes.learn(16 << 20)
	if b := sizes.lend(); cap(b.B) < 16<<20 {
		t.Errorf("room for %d bytes after a body of 16 MiB", cap(b.B))
	}
	room := 0
	for range 100 {
		b := sizes.lend()
		if cap(b.B) > largestKept+largestKept/2 { // else it is another's before
			room += cap(b.B)
		}
		b.Release()
		sizes.learn(100)
	}
	if room > 32<<20 {
		t.Errorf("small bodies had %d MiB made for them", room>>20)
	}
}
