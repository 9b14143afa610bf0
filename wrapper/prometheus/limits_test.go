package prometheus_test

import (
	"context"
	"testing"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/wrapper"
	"github.com/sinew-rpc/sinew/wrapper/prometheus"
)

// served has a request of a method pass a wrapper, as far as it is let.
func served(t *testing.T, w server.Wrapper, method string, handle server.HandleRequestFunc) {
	t.Helper()
	m := &protocol.Message{Header: protocol.Header{ServiceName: "Words", MethodName: method}}
	if a, ok := w.(server.Admitter); ok {
		if a.Admit(t.Context(), &m.Header, 0) != nil {
			return
		}
	}
	_ = w.WrapHandleRequest(nil, handle)(t.Context(), m, &protocol.Message{})
}

func TestBreakersOfMethodsAreShown(t *testing.T) {
	b := &wrapper.Breaker{Threshold: 2, OnChange: func(string, wrapper.BreakerState) {}}
	c, err := prometheus.NewBreakerCollector(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	metrics := prom.NewPedanticRegistry()
	metrics.MustRegister(c)
	for range 2 {
		served(t, b, "Sulk", func(context.Context, *protocol.Message, *protocol.Message) error {
			return protocol.NewError(protocol.Unavailable, "not now")
		})
	}
	served(t, b, "Echo", func(context.Context, *protocol.Message, *protocol.Message) error { return nil })
	want(t, scrape(t, metrics),
		`sinew_server_method_breaker_open{method="Words.Sulk"} 1`,
		`sinew_server_method_breaker_open{method="Words.Echo"} 0`)
}

func TestAConcurrencyLimitIsShown(t *testing.T) {
	l := &wrapper.ConcurrencyLimit{Initial: 1, Min: 1, Max: 1}
	c, err := prometheus.NewConcurrencyCollector(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	metrics := prom.NewPedanticRegistry()
	metrics.MustRegister(c)
	served(t, l, "Echo", func(context.Context, *protocol.Message, *protocol.Message) error {
		served(t, l, "Echo", func(context.Context, *protocol.Message, *protocol.Message) error {
			t.Error("a second request was let in beside the one that runs")
			return nil
		})
		want(t, scrape(t, metrics),
			`sinew_server_concurrency_limit 1`, `sinew_server_concurrency_running 1`, `sinew_server_concurrency_refused_total 1`)
		return nil
	})
	want(t, scrape(t, metrics), `sinew_server_concurrency_running 0`)
}

func TestCollectorsOfNothing(t *testing.T) {
	if _, err := prometheus.NewBreakerCollector(nil, nil); err == nil {
		t.Error("a collector of no Breaker")
	}
	if _, err := prometheus.NewConcurrencyCollector(nil, nil); err == nil {
		t.Error("a collector of no ConcurrencyLimit")
	}
}
