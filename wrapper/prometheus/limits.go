package prometheus

import (
	"errors"
	"maps"
	"slices"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/sinew-rpc/sinew/wrapper"
)

// breakerCollector reads wrapper.Breaker.
type breakerCollector struct {
	metrics
	breaker *wrapper.Breaker
	open    emit
}

// NewBreakerCollector returns a Collector that reads the breakers of a server's
// methods when it is scraped, to be registered by the caller. A nil option is a
// zero one. The error names what cannot be used.
//
//	sinew_server_method_breaker_open{method} 1 while it is half-open too
//
// method is "Service.Method"; those that were never called are not there.
func NewBreakerCollector(b *wrapper.Breaker, option *Option) (prom.Collector, error) {
	if b == nil {
		return nil, errors.New("prometheus: the Breaker is nil")
	}
	o, err := option.complete("method")
	if err != nil {
		return nil, err
	}
	c := &breakerCollector{metrics: metrics{option: o, subsystem: "server"}, breaker: b}
	c.open = c.gauge("method_breaker_open", "1 while the breaker of the method is open or half-open, else 0.", "method")
	return c, nil
}

// Collect implements the Collector of client_golang.
func (c *breakerCollector) Collect(ch chan<- prom.Metric) {
	states := c.breaker.States()
	for _, method := range slices.Sorted(maps.Keys(states)) {
		c.open(ch, oneIf(states[method] != wrapper.BreakerClosed), label(method))
	}
}

// concurrencyCollector reads wrapper.ConcurrencyLimit.
type concurrencyCollector struct {
	metrics
	limit *wrapper.ConcurrencyLimit

	now, inFlight, refused emit
}

// NewConcurrencyCollector returns a Collector that reads a ConcurrencyLimit when
// it is scraped, to be registered by the caller. A nil option is a zero one. The
// error names what cannot be used.
//
//	sinew_server_concurrency_limit
//	sinew_server_concurrency_running
//	sinew_server_concurrency_refused_total
func NewConcurrencyCollector(l *wrapper.ConcurrencyLimit, option *Option) (prom.Collector, error) {
	if l == nil {
		return nil, errors.New("prometheus: the ConcurrencyLimit is nil")
	}
	o, err := option.complete()
	if err != nil {
		return nil, err
	}
	c := &concurrencyCollector{metrics: metrics{option: o, subsystem: "server"}, limit: l}
	c.now = c.gauge("concurrency_limit", "The requests that may be served at one time.")
	c.inFlight = c.gauge("concurrency_running", "The requests that the limit counts now.")
	c.refused = c.counter("concurrency_refused_total", "The requests that the limit refused.")
	return c, nil
}

// Collect implements the Collector of client_golang.
func (c *concurrencyCollector) Collect(ch chan<- prom.Metric) {
	s := c.limit.Stats()
	c.now(ch, float64(s.Limit))
	c.inFlight(ch, float64(s.Running))
	c.refused(ch, float64(s.Refused))
}
