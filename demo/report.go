package main

import (
	"context"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/internal/histogram"
)

// report is what is shown of one moment.
type report struct {
	elapsed, duration time.Duration // duration 0: until told to stop
	rows              []row         // one for each provider
	all               row
}

// row is a line of the table. Rate and latencies are those since the report
// before, the counts those since the start.
type row struct {
	name string
	standing
	perSecond        float64
	answered, failed uint64
	p50, p99         time.Duration
}

// reporter makes reports of what an observer measures. It is used by one
// goroutine.
type reporter struct {
	observed *observer
	standing func(providerKey string) standing
	begun    time.Time
	duration time.Duration

	last     time.Time
	previous map[string]sample
}

// sample is what a tally held at the report before.
type sample struct {
	answered uint64
	latency  *histogram.Counted
}

// allCalls is the name of the row of all calls.
const allCalls = "all calls"

// newReporter begins now. stands says how the provider of a key stands.
func newReporter(o *observer, duration time.Duration, stands func(string) standing) *reporter {
	now := time.Now()
	return &reporter{
		observed: o, standing: stands, begun: now, duration: duration,
		last: now, previous: make(map[string]sample),
	}
}

// overall is a report whose rates and latencies are those of the whole run.
func (r *reporter) overall() report {
	r.last = r.begun
	clear(r.previous)
	return r.report()
}

// report is a report whose rates and latencies are those since the one before.
func (r *reporter) report() report {
	now := time.Now()
	passed := now.Sub(r.last)
	r.last = now
	made := report{elapsed: now.Sub(r.begun), duration: r.duration}
	for _, key := range r.observed.keys() {
		line := r.row(key, r.observed.provider(key), passed)
		line.name, line.standing = strings.TrimPrefix(key, "tcp@"), r.standing(key)
		made.rows = append(made.rows, line)
	}
	made.all = r.row(allCalls, &r.observed.calls, passed)
	return made
}

func (r *reporter) row(name string, t *tally, passed time.Duration) row {
	now := sample{t.answered.Load(), t.latency.Snapshot()}
	before := r.previous[name]
	r.previous[name] = now
	recent := now.latency.Since(before.latency)
	line := row{
		name:     name,
		answered: now.answered,
		failed:   t.failed.Load(),
		p50:      recent.Quantile(0.50),
		p99:      recent.Quantile(0.99),
	}
	if passed > 0 {
		line.perSecond = float64(now.answered-before.answered) / passed.Seconds()
	}
	return line
}

// follow shows a report at every tick until ctx ends.
func (r *reporter) follow(ctx context.Context, s *screen) {
	tick := time.NewTicker(s.interval(r.duration))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.show(r.report())
		case <-ctx.Done():
			return
		}
	}
}
