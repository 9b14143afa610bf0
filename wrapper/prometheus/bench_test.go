package prometheus_test

import (
	"context"
	"testing"

	"github.com/sinew-rpc/sinew/wrapper"
	"github.com/sinew-rpc/sinew/wrapper/prometheus"
)

// BenchmarkMeasuredCall is what Metrics adds to each call.
func BenchmarkMeasuredCall(b *testing.B) {
	for name, option := range map[string]*prometheus.Option{"classic": nil, "native": {NativeBucketFactor: 1.1}} {
		b.Run(name, func(b *testing.B) {
			r, err := prometheus.NewRecorder(option)
			if err != nil {
				b.Fatal(err)
			}
			call := (&wrapper.Metrics{Recorder: r}).WrapCall(nil, func(context.Context, string, any, any) error { return nil })
			ctx := context.Background()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_ = call(ctx, "Words.Echo", nil, nil)
				}
			})
		})
	}
}
