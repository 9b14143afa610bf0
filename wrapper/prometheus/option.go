package prometheus

import (
	"fmt"
	"slices"

	prom "github.com/prometheus/client_golang/prometheus"
)

// Option says how metrics are named. Its zero value is a good one.
type Option struct {
	// Namespace begins each name. The default is "sinew".
	Namespace string
	// Labels are on every metric, to tell clients or servers of one process
	// apart. They must not have the name of a label that a metric has of itself, nor
	// be changed afterwards.
	Labels prom.Labels
	// Buckets are the upper bounds of the histograms, in seconds, ascending.
	// The default is DefaultBuckets().
	Buckets []float64
	// NativeBucketFactor, above 1, keeps native histograms beside the classic
	// ones: 1.1 is a good value, with some 10 % from each bucket to the next.
	// The default, 0, is none.
	NativeBucketFactor float64
	// PerProvider has NewClientCollector show each provider by its key. The
	// default shows how many there are in each state.
	PerProvider bool
	// MaxProviders bounds the providers that PerProvider shows; those with the
	// lowest keys are. The default is 256; negative is no bound.
	MaxProviders int
}

// DefaultBuckets returns the bounds of the histograms where Option names none,
// in seconds: ten from 250 µs to 5 s. Shorter calls are the network's, longer
// ones past most deadlines.
func DefaultBuckets() []float64 {
	return []float64{0.00025, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1, 5}
}

// defaultMaxProviders is for Option.MaxProviders.
const defaultMaxProviders = 256

// nativeBuckets bounds a native histogram's memory: when more are needed, the
// library makes them wider.
const nativeBuckets = 160

// complete returns o checked, with its defaults filled in, for metrics that have
// labels of these names of themselves.
func (o *Option) complete(own ...string) (Option, error) {
	var c Option
	if o != nil {
		c = *o
	}
	if c.Namespace == "" {
		c.Namespace = "sinew"
	}
	if c.Buckets == nil {
		c.Buckets = DefaultBuckets()
	}
	for i := 1; i < len(c.Buckets); i++ {
		if !(c.Buckets[i-1] < c.Buckets[i]) {
			return c, fmt.Errorf("prometheus: Option.Buckets[%d] is %v, and must be above the one before, %v", i, c.Buckets[i], c.Buckets[i-1])
		}
	}
	c.Buckets = slices.Clone(c.Buckets)
	if f := c.NativeBucketFactor; f != 0 && !(f > 1) {
		return c, fmt.Errorf("prometheus: Option.NativeBucketFactor is %v: it must be above 1, or 0 for none", f)
	}
	if c.MaxProviders == 0 {
		c.MaxProviders = defaultMaxProviders
	}
	for _, name := range own {
		if _, taken := c.Labels[name]; taken {
			return c, fmt.Errorf("prometheus: Option.Labels has %q, which is a label of the metrics themselves", name)
		}
	}
	// The library checks names when a metric is made: see whether it would.
	probe := prom.NewDesc(c.Namespace+"_calls_total", "probe", nil, c.Labels)
	if err := prom.NewPedanticRegistry().Register(described{probe}); err != nil {
		return c, fmt.Errorf("prometheus: Option.Namespace %q or Option.Labels: %w", c.Namespace, err)
	}
	return c, nil
}

// described is a Collector without metrics.
type described struct{ desc *prom.Desc }

func (d described) Describe(ch chan<- *prom.Desc) { ch <- d.desc }
func (d described) Collect(chan<- prom.Metric)    {}
