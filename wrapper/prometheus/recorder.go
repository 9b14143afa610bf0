package prometheus

import (
	"sync/atomic"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/wrapper"
)

// Recorder keeps what wrapper.Metrics and wrapper.AttemptMetrics measure. One may
// serve any number of clients and servers. Measuring allocates nothing and takes
// no lock. All methods may run concurrently.
//
//	sinew_client_calls_total{service,method,code}
//	sinew_client_call_duration_seconds{service,method}
//	sinew_client_calls_in_flight
//	sinew_client_attempts_total{service,method,provider,code}
//	sinew_client_attempt_duration_seconds{service,method,provider}
//	sinew_client_attempts_in_flight
//	sinew_server_requests_total{service,method,code}
//	sinew_server_request_duration_seconds{service,method}
//	sinew_server_requests_in_flight
//
// provider is empty unless wrapper.AttemptMetrics.PerProvider is set.
type Recorder struct {
	kinds [wrapper.Kinds]family
}

var (
	_ wrapper.Recorder = (*Recorder)(nil)
	_ prom.Collector   = (*Recorder)(nil)
)

// family is the metrics of one kind.
type family struct {
	inFlight prom.Gauge
	count    *prom.CounterVec
	took     *prom.HistogramVec
}

// NewRecorder returns a Recorder, to be registered by the caller. A nil option is
// a zero one. The error names the field that cannot be used.
func NewRecorder(option *Option) (*Recorder, error) {
	o, err := option.complete("service", "method", "provider", "code", "le") // the last is the histograms'
	if err != nil {
		return nil, err
	}
	return &Recorder{kinds: [wrapper.Kinds]family{
		wrapper.Call:    newFamily(&o, "client", "call", "service", "method"),
		wrapper.Attempt: newFamily(&o, "client", "attempt", "service", "method", "provider"),
		wrapper.Request: newFamily(&o, "server", "request", "service", "method"),
	}}, nil
}

func newFamily(o *Option, side, what string, labels ...string) family {
	return family{
		inFlight: prom.NewGauge(prom.GaugeOpts{
			Namespace: o.Namespace, Subsystem: side, Name: what + "s_in_flight", ConstLabels: o.Labels,
			Help: "The " + what + "s that have begun and not ended.",
		}),
		count: prom.NewCounterVec(prom.CounterOpts{
			Namespace: o.Namespace, Subsystem: side, Name: what + "s_total", ConstLabels: o.Labels,
			Help: "The " + what + "s that have ended, by what they came to.",
		}, append(labels[:len(labels):len(labels)], "code")),
		took: prom.NewHistogramVec(prom.HistogramOpts{
			Namespace: o.Namespace, Subsystem: side, Name: what + "_duration_seconds", ConstLabels: o.Labels,
			Help:                           "How long the " + what + "s took, failed ones too.",
			Buckets:                        o.Buckets,
			NativeHistogramBucketFactor:    o.NativeBucketFactor,
			NativeHistogramMaxBucketNumber: nativeBuckets,
		}, labels),
	}
}

// InFlight implements wrapper.Recorder.
func (r *Recorder) InFlight(kind wrapper.Kind, change int) {
	r.kinds[kind].inFlight.Add(float64(change))
}

// Meter implements wrapper.Recorder.
func (r *Recorder) Meter(s wrapper.Series) wrapper.Meter {
	f := &r.kinds[s.Kind]
	labels := []string{label(s.Service), label(s.Method)}
	if s.Kind == wrapper.Attempt {
		labels = append(labels, label(s.Provider))
	}
	return &meter{family: f, labels: labels, took: f.took.WithLabelValues(labels...)}
}

// Describe implements the Collector of client_golang.
func (r *Recorder) Describe(ch chan<- *prom.Desc) {
	for _, c := range r.collectors() {
		c.Describe(ch)
	}
}

// Collect implements the Collector of client_golang.
func (r *Recorder) Collect(ch chan<- prom.Metric) {
	for _, c := range r.collectors() {
		c.Collect(ch)
	}
}

func (r *Recorder) collectors() (all []prom.Collector) {
	for _, f := range r.kinds {
		all = append(all, f.inFlight, f.count, f.took)
	}
	return all
}

// meter is one series. It makes the counter of a code when that first occurs, so
// that a method has no series of codes that it never came to.
type meter struct {
	family *family
	labels []string
	took   prom.Observer
	codes  [protocol.Unauthenticated + 1]atomic.Pointer[prom.Counter]
}

// Measured implements wrapper.Meter.
func (m *meter) Measured(code protocol.Code, took time.Duration) {
	m.counter(min(code, protocol.Unauthenticated)).Inc()
	m.took.Observe(took.Seconds())
}

func (m *meter) counter(code protocol.Code) prom.Counter {
	if c := m.codes[code].Load(); c != nil {
		return *c
	}
	c := m.family.count.WithLabelValues(append(m.labels[:len(m.labels):len(m.labels)], code.String())...)
	m.codes[code].Store(&c) // the same one, whoever is first
	return c
}
