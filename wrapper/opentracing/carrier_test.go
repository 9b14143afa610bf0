package opentracing

import (
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
)

// Whatever a tracer or its baggage says can travel, and arrives as it was.
func FuzzCarrier(f *testing.F) {
	f.Add("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("X-B3-TraceId", "80f198ee56343ba8")
	f.Add("", "\r\n\x00")
	f.Add("ot-x-6b", "v")
	f.Add("sinew-auth", "not yours")
	f.Fuzz(func(t *testing.T, key, value string) {
		carried := make(outgoing)
		carried.Set(key, value)
		if err := protocol.CheckMeta(carried); err != nil && protocol.MetaSize(carried) <= protocol.MaxMetaSize {
			t.Fatalf("%q: %q does not travel: %v", key, value, err)
		}
		arrived := 0
		err := incoming(carried).ForeachKey(func(k, v string) error {
			arrived++
			if k != key || v != value {
				t.Errorf("%q: %q arrived as %q: %q", key, value, k, v)
			}
			return nil
		})
		if err != nil || arrived != 1 {
			t.Errorf("%q: %q arrived %d times, %v", key, value, arrived, err)
		}
	})
}
