package prometheus

import (
	"strings"

	prom "github.com/prometheus/client_golang/prometheus"
)

// metrics are what a collector describes, and makes anew from a snapshot at each
// scrape.
type metrics struct {
	option    Option
	subsystem string
	all       []*prom.Desc
}

// counter describes one that only grows, with its labels.
func (m *metrics) counter(name, help string, labels ...string) func(ch chan<- prom.Metric, v float64, labels ...string) {
	return m.describe(prom.CounterValue, name, help, labels)
}

// gauge describes one that goes up and down.
func (m *metrics) gauge(name, help string, labels ...string) func(ch chan<- prom.Metric, v float64, labels ...string) {
	return m.describe(prom.GaugeValue, name, help, labels)
}

func (m *metrics) describe(kind prom.ValueType, name, help string, labels []string) func(chan<- prom.Metric, float64, ...string) {
	desc := prom.NewDesc(prom.BuildFQName(m.option.Namespace, m.subsystem, name), help, labels, m.option.Labels)
	m.all = append(m.all, desc)
	return func(ch chan<- prom.Metric, v float64, labels ...string) {
		ch <- prom.MustNewConstMetric(desc, kind, v, labels...)
	}
}

// Describe implements the Collector of client_golang.
func (m *metrics) Describe(ch chan<- *prom.Desc) {
	for _, desc := range m.all {
		ch <- desc
	}
}

// emit writes one value.
type emit = func(ch chan<- prom.Metric, v float64, labels ...string)

// label makes a label's value of what others named: the library panics at one
// that is no UTF-8.
func label(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
