package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// median returns the middle value, or the mean of the two in the middle. The
// zero value where there is none.
func median[T int | int64 | uint64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// spread is a median with the least and the greatest of the values.
type spread struct{ median, least, greatest float64 }

// summary is the median of each measure over all rounds of a row in a cell.
// Each is taken on its own, so they need not come from the same round.
type summary struct {
	perSecond                         spread
	p50, p99, p999                    time.Duration
	clientCPU                         time.Duration
	serverCPU                         time.Duration
	behindCPU                         time.Duration // of the process that the server forwards to
	clientAllocs                      float64
	serverAllocs                      float64
	serverPeakRSS                     uint64
	leastServerCPU, greatestServerCPU time.Duration

	connections int   // the greatest of all rounds
	errors      int64 // the sum of all rounds
}

// summarize returns false when there is no result.
func summarize(r *runs) (summary, bool) {
	if r == nil || len(r.results) == 0 {
		return summary{}, false
	}
	all := r.results
	rates := each(all, func(r load.Result) float64 { return r.PerSecond })
	serverCPUs := each(all, func(r load.Result) time.Duration { return r.Server.CPU })
	s := summary{
		perSecond:      spread{median(rates), slices.Min(rates), slices.Max(rates)},
		p50:            median(each(all, func(r load.Result) time.Duration { return r.P50 })),
		p99:            median(each(all, func(r load.Result) time.Duration { return r.P99 })),
		p999:           median(each(all, func(r load.Result) time.Duration { return r.P999 })),
		clientCPU:      median(each(all, func(r load.Result) time.Duration { return r.Client.CPU })),
		serverCPU:      median(serverCPUs),
		leastServerCPU: slices.Min(serverCPUs), greatestServerCPU: slices.Max(serverCPUs),
		behindCPU:     median(each(all, func(r load.Result) time.Duration { return r.Behind.CPU })),
		clientAllocs:  median(each(all, func(r load.Result) float64 { return r.Client.Allocs })),
		serverAllocs:  median(each(all, func(r load.Result) float64 { return r.Server.Allocs })),
		serverPeakRSS: median(each(all, func(r load.Result) uint64 { return r.ServerPeakRSS })),
		connections:   slices.Max(each(all, func(r load.Result) int { return r.Connections })),
	}
	for _, r := range all {
		s.errors += r.Errors
	}
	return s, true
}

func each[T cmp.Ordered](all []load.Result, get func(load.Result) T) []T {
	values := make([]T, 0, len(all))
	for _, r := range all {
		values = append(values, get(r))
	}
	return values
}
