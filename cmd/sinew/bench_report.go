package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/internal/histogram"
	"github.com/sinew-rpc/sinew/protocol"
)

// failures counts failed calls by code, with the first of each as an example. All
// methods may run concurrently.
type failures struct {
	mu sync.Mutex
	// Guarded by mu:
	byCode map[protocol.Code]*failure
}

type failure struct {
	count uint64
	first error
}

func (f *failures) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	code := protocol.CodeOf(err)
	if f.byCode == nil {
		f.byCode = make(map[protocol.Code]*failure)
	}
	if f.byCode[code] == nil {
		f.byCode[code] = &failure{first: err}
	}
	f.byCode[code].count++
}

func (f *failures) total() (n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.byCode {
		n += one.count
	}
	return n
}

// lines has the most frequent first.
func (f *failures) lines() (lines []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*failure
	for _, one := range f.byCode {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *failure) int { return int(b.count) - int(a.count) })
	for _, one := range all {
		lines = append(lines, fmt.Sprintf("%10s failed, such as: %v", grouped(one.count), one.first))
	}
	return lines
}

// summary is what became of all calls.
func (b *bench) summary(took time.Duration) []string {
	latency := b.latency.Snapshot()
	total := latency.Total()
	lines := []string{
		fmt.Sprintf("%s: %s calls in %s, %s/s, %s failed", b.call.name(), grouped(total), short(took),
			grouped(int(float64(total)/took.Seconds())), grouped(b.failures.total())),
	}
	lines = append(lines, b.failures.lines()...)
	if total == 0 {
		return lines
	}
	lines = append(lines, fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  longest %s",
		short(latency.Quantile(0.5)), short(latency.Quantile(0.9)), short(latency.Quantile(0.99)),
		short(latency.Quantile(0.999)), short(latency.Quantile(1))), "")
	return append(lines, bars(latency)...)
}

// barWidth is the length of a bar that stands for all calls.
const barWidth = 50

// bars draws the latencies: a row up to each of 1, 2, 5, 10, 20, 50 µs and so on.
func bars(latency *histogram.Counted) []string {
	total, shortest, longest := latency.Total(), latency.Quantile(0), latency.Quantile(1)
	var rows table
	var below uint64
	for _, limit := range limits(shortest, longest) {
		upTo := latency.UpTo(limit)
		share := float64(upTo-below) / float64(total)
		rows = append(rows, []string{
			"up to " + short(limit), fmt.Sprintf("%5.1f%%", 100*share), strings.Repeat("#", int(barWidth*share+0.5)),
		})
		below = upTo
	}
	return rows.lines()
}

// limits returns the steps that hold all from shortest to longest.
func limits(shortest, longest time.Duration) (steps []time.Duration) {
	for decade := time.Microsecond; ; decade *= 10 {
		for _, factor := range []time.Duration{1, 2, 5} {
			if step := factor * decade; step >= shortest {
				steps = append(steps, step)
				if step >= longest {
					return steps
				}
			}
		}
	}
}
