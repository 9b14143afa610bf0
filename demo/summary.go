package main

import (
	"fmt"
	"time"
)

// summary says what was seen, in lines.
func summary(o *observer, calls *load, r *reporter) []string {
	answered := o.calls.answered.Load()
	latency := o.calls.latency.Snapshot()
	perSecond := float64(answered) / max(time.Since(r.begun), time.Millisecond).Seconds()
	lines := []string{
		"",
		fmt.Sprintf("calls    %s answered, %s a second; p50 %s, p99 %s", grouped(answered), grouped(uint64(perSecond)),
			brief(latency.Quantile(0.50)), brief(latency.Quantile(0.99))),
		fmt.Sprintf("replies  each compared with what it must be: %s wrong", grouped(calls.wrong.Load())),
		"text     " + calls.book.summary(),
		fmt.Sprintf("moves    %s attempts met a provider gone or leaving; they did not run, and the call went on where it could", grouped(o.moves.Load())),
		fmt.Sprintf("failed   %s", grouped(o.calls.failed.Load())),
	}
	return append(lines, o.failures.lines()...)
}
