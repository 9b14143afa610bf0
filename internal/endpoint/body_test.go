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
