package main

import (
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// What sinew demands of itself. Where a demand is to be no worse than a peer, a
// figure that misses by less than tie counts as met: two runs of one program
// differ by as much. A demand to be so many times better, or to stay within so
// many bytes, is met or not.
const (
	tie = 0.05

	oneCallerRatio = 1.0
	smallRatio     = 2.5 // up to smallSize
	mediumRatio    = 2.0 // up to mediumSize
	largeRatio     = 1.2
	smallSize      = 16
	mediumSize     = 1 << 10
	timeoutLoss    = 0.10
	idleHeapBytes  = 2.5 * 1024
	idleStackBytes = 4.0 * 1024
	peakRSSBytes   = 128 << 20
	peakRSSCallers = 1000
	peakRSSSize    = 64 << 10
	peakRSSPeer    = "net/rpc"

	// A client that governs its calls, beside the same without.
	governedRow   = "sinew/governed"
	bareRow       = "sinew/msgp"
	governedLoss  = 0.15
	governedRatio = 2.0 // to the best peer's bare client, where the bare row must be as fast
)

// verdictTable holds every row of ours against the demands. It is empty when
// no row of ours, or nothing to compare it with, was measured.
func (r report) verdictTable() table {
	t := table{
		heading: "What is demanded of sinew",
		note:    fmt.Sprintf("To be no worse than a peer is met within %.0f %%; factors and limits are met or not.", 100*tie),
		columns: []string{"row", "where", "what", "demanded", "measured", "met"},
	}
	for _, row := range r.rows {
		if row.kind != ours {
			continue
		}
		for _, c := range r.options.cells() {
			if c.timeout == load.TimeoutNone {
				t.rows = append(t.rows, r.cellVerdicts(row, c)...)
			}
		}
		t.rows = append(t.rows, r.timeoutVerdicts(row)...)
		t.rows = append(t.rows, r.idleVerdicts(row)...)
	}
	return t
}

// throughputRatio is how much faster than the best peer a row must be.
func throughputRatio(c cell) float64 {
	switch {
	case c.callers == 1:
		return oneCallerRatio
	case c.size <= smallSize:
		return smallRatio
	case c.size <= mediumSize:
		return mediumRatio
	}
	return largeRatio
}

func (r report) cellVerdicts(row row, c cell) [][]string {
	if row.Name == governedRow {
		return r.governedVerdicts(c)
	}
	s, ok := summarize(r.found.runs[row.Name][c])
	best := r.bestPeer(c)
	if !ok || best == 0 {
		return nil
	}
	where := callersName(c.callers) + ", " + sizeName(c.size)
	verdict := func(what, demanded, measured string, met bool) []string {
		return []string{row.Name, where, what, demanded, measured, yesNo(met)}
	}
	want, got := throughputRatio(c), s.perSecond.median/best
	verdicts := [][]string{verdict("calls/s to the best peer",
		fmt.Sprintf("at least %.2f×", want), fmt.Sprintf("%.2f×", got), got >= want || want == oneCallerRatio && noWorse(want, got))}
	if c.callers > 1 {
		lowest := r.lowestPeerP99(c)
		verdicts = append(verdicts, verdict("p99", "at most "+micros(lowest), micros(s.p99), noWorse(float64(s.p99), float64(lowest))))
	}
	if c.callers == peakRSSCallers && c.size == peakRSSSize {
		verdicts = append(verdicts,
			verdict("server's peak memory", "below "+mebibytes(peakRSSBytes), mebibytes(s.serverPeakRSS), s.serverPeakRSS < peakRSSBytes),
			verdict("calls refused or failed", "0", fmt.Sprint(s.errors), s.errors == 0))
		if other, ok := summarize(r.found.runs[peakRSSPeer][c]); ok {
			verdicts = append(verdicts, verdict("server's peak memory", "at most "+peakRSSPeer+"'s "+mebibytes(other.serverPeakRSS),
				mebibytes(s.serverPeakRSS), noWorse(float64(s.serverPeakRSS), float64(other.serverPeakRSS))))
		}
	}
	return verdicts
}

// governedVerdicts holds what governing calls costs against what it may.
func (r report) governedVerdicts(c cell) [][]string {
	s, ok := summarize(r.found.runs[governedRow][c])
	if !ok {
		return nil
	}
	where := callersName(c.callers) + ", " + sizeName(c.size)
	verdict := func(what string, want, got float64) []string {
		return []string{governedRow, where, what, fmt.Sprintf("at least %.2f×", want), fmt.Sprintf("%.2f×", got), yesNo(got >= want)}
	}
	var verdicts [][]string
	if bare, ok := summarize(r.found.runs[bareRow][c]); ok {
		verdicts = append(verdicts, verdict("calls/s to "+bareRow, 1-governedLoss, s.perSecond.median/bare.perSecond.median))
	}
	if best := r.bestPeer(c); best > 0 && throughputRatio(c) >= governedRatio {
		verdicts = append(verdicts, verdict("calls/s to the best peer", governedRatio, s.perSecond.median/best))
	}
	return verdicts
}

func (r report) lowestPeerP99(c cell) time.Duration {
	var lowest time.Duration
	for _, row := range r.rows {
		s, ok := summarize(r.found.runs[row.Name][c])
		if ok && row.kind == peer && (lowest == 0 || s.p99 < lowest) {
			lowest = s.p99
		}
	}
	return lowest
}

func (r report) timeoutVerdicts(row row) [][]string {
	var verdicts [][]string
	where := callersName(timeoutCallers) + ", " + sizeName(timeoutSize)
	for _, pair := range []struct{ with, without load.Timeout }{
		{load.TimeoutRequest, load.TimeoutNone},
		{load.TimeoutContext, load.TimeoutIgnored},
	} {
		with, without := r.rateWith(row, pair.with), r.rateWith(row, pair.without)
		if with == 0 || without == 0 {
			continue
		}
		verdicts = append(verdicts, []string{
			row.Name, where, fmt.Sprintf("timeout %s to %s", pair.with, pair.without),
			fmt.Sprintf("at least %.2f×", 1-timeoutLoss), fmt.Sprintf("%.2f×", with/without), yesNo(with/without >= 1-timeoutLoss),
		})
	}
	return verdicts
}

func (r report) idleVerdicts(row row) [][]string {
	idle, ok := r.found.idle[row.Name]
	if !ok {
		return nil
	}
	where := fmt.Sprintf("%d idle connections", idle.Connections)
	return [][]string{
		{row.Name, where, "heap KiB", "at most " + kibibytes(idleHeapBytes), kibibytes(idle.HeapBytes), yesNo(idle.HeapBytes <= idleHeapBytes)},
		{row.Name, where, "stack KiB", "at most " + kibibytes(idleStackBytes), kibibytes(idle.StackBytes), yesNo(idle.StackBytes <= idleStackBytes)},
	}
}

// noWorse tells whether low is at most high, or a tie.
func noWorse(low, high float64) bool { return low <= high*(1+tie) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}
