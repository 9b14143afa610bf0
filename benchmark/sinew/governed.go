package main

import (
	"context"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
	"github.com/sinew-rpc/sinew/wrapper"
	"github.com/sinew-rpc/sinew/wrapper/prometheus"

	"github.com/sinew-rpc/sinew/benchmark/internal/echo"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// governed is the row of a client with what a service in production has on.
var governed = load.Row{
	Name: "sinew/governed",
	Settings: "an SGClient of one provider: heartbeat 1 s, tags, breaker 20 in 1 s, FailOver with 2 retries, P2C, " +
		"Prometheus metrics; tracing off; no request timeout unless said; " + reader +
		"msgpack by msgp's generated methods",
	Timeouts: timeouts,
	Serve:    serve,
	Dial:     dialGoverned,
}

func dialGoverned(o load.DialOptions) (load.Client, error) {
	recorder, err := prometheus.NewRecorder(nil)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{"idc": "lf"}
	op := client.DefaultSGOption
	op.SerializeType = protocol.SerializeTypeMsgpack
	op.RequestTimeout = o.RequestTimeout
	if op.RequestTimeout == 0 {
		op.RequestTimeout = -time.Nanosecond // off
	}
	op.Registry = registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{Network: "tcp", Addr: o.Addr, Tags: tags})
	op.Tagged, op.Tags = true, tags
	op.Heartbeat, op.HeartbeatInterval = true, time.Second
	op.FailMode, op.Retries = client.FailOver, 2
	op.CircuitBreakerThreshold, op.CircuitBreakerWindow = 20, time.Second
	op.Selector = selector.NewP2CSelector()
	op.Wrappers = []client.Wrapper{&wrapper.Metrics{Recorder: recorder}}
	c, err := client.NewSGClient(op)
	if err != nil {
		return nil, err
	}
	collector, err := prometheus.NewClientCollector(c, nil)
	if err != nil {
		return nil, err
	}
	metrics := prom.NewRegistry()
	for _, m := range []prom.Collector{recorder, collector} {
		if err := metrics.Register(m); err != nil {
			return nil, err
		}
	}
	return load.Shared(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply := &echo.Message{}
		err := c.Call(ctx, "Generated.Echo", &echo.Message{ID: id, Body: body}, reply)
		return reply.ID, reply.Body, err
	}, c.Close), nil
}
