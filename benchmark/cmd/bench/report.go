package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// report prints what was found.
type report struct {
	host    machine
	options options
	rows    []row
	found   *findings
}

func (r report) print(w io.Writer) error {
	if err := r.printHead(w); err != nil {
		return err
	}
	tables := []table{r.settings()}
	for _, size := range r.options.sizes {
		for _, callers := range r.options.callers {
			tables = append(tables, r.cellTable(cell{callers, size, load.TimeoutNone}))
		}
	}
	if r.options.timeouts {
		tables = append(tables, r.timeoutTable())
	}
	if r.options.idle > 0 {
		tables = append(tables, r.idleTable())
	}
	if verdicts := r.verdictTable(); len(verdicts.rows) > 0 {
		tables = append(tables, verdicts)
	}
	if failures := r.failureTable(); len(failures.rows) > 0 {
		tables = append(tables, failures)
	}
	for _, t := range tables {
		if err := t.write(w, r.options.markdown); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

func (r report) printHead(w io.Writer) error {
	o, bullet := r.options, "  "
	title := "BENCHMARK\n"
	if o.markdown {
		title, bullet = "# Benchmark\n", "- "
	}
	lines := []string{
		"Date: " + r.host.began.UTC().Format(time.RFC3339) + ", took " + time.Since(r.host.began).Round(time.Second).String(),
		"Command: " + r.host.command,
		"Commit: " + r.host.commit,
		fmt.Sprintf("Machine: %s, %d cores, Linux %s, %s", r.host.cpu, r.host.cores, r.host.kernel, r.host.goes),
		fmt.Sprintf("Rounds: %d, each row %v measured after %v of warm-up; order of rows shuffled each round, seed %d", o.rounds, o.duration, o.warmup, o.seed),
	}
	_, err := fmt.Fprintf(w, "%s\n%s%s\n", title, bullet, strings.Join(lines, "\n"+bullet))
	return err
}

func (r report) settings() table {
	t := table{heading: "Rows", columns: []string{"row", "version", "settings"}, leftAligned: true}
	for _, row := range r.rows {
		version := row.Version
		switch {
		case version != "":
		case row.kind == peer:
			version = "Go's own"
		default:
			version = "this commit"
		}
		t.rows = append(t.rows, []string{row.Name, version, row.Settings})
	}
	return t
}

func (r report) cellTable(c cell) table {
	t := table{
		heading: fmt.Sprintf("%s, %s", callersName(c.callers), sizeName(c.size)),
		columns: []string{
			"row", "connections", "calls/s", "least … greatest", "to best peer", "p50", "p99", "p99.9",
			"client CPU", "server CPU", "client allocs", "server allocs", "server peak", "errors",
		},
	}
	if c.callers == 1 {
		t.note = "Client and server on one CPU."
	}
	best := r.bestPeer(c)
	for _, row := range r.rows {
		s, ok := summarize(r.found.runs[row.Name][c])
		if !ok {
			t.rows = append(t.rows, padded(row.Name, "no result", len(t.columns)))
			continue
		}
		t.rows = append(t.rows, []string{
			row.Name, strconv.Itoa(s.connections),
			rate(s.perSecond.median), rate(s.perSecond.least) + " … " + rate(s.perSecond.greatest), ratio(s.perSecond.median, best),
			micros(s.p50), micros(s.p99), micros(s.p999),
			micros(s.clientCPU), micros(s.serverCPU),
			fmt.Sprintf("%.1f", s.clientAllocs), fmt.Sprintf("%.1f", s.serverAllocs),
			mebibytes(s.serverPeakRSS), strconv.FormatInt(s.errors, 10),
		})
	}
	return t
}

// bestPeer is the greatest median of calls per second among the peers, zero
// when none was measured.
func (r report) bestPeer(c cell) float64 {
	var best float64
	for _, row := range r.rows {
		if s, ok := summarize(r.found.runs[row.Name][c]); ok && row.kind == peer {
			best = max(best, s.perSecond.median)
		}
	}
	return best
}

func (r report) timeoutTable() table {
	t := table{
		heading: fmt.Sprintf("What timeouts cost: %s, %s", callersName(timeoutCallers), sizeName(timeoutSize)),
		note: "Calls a second. request: the framework's own option, to none. context: each call has its caller's context.WithTimeout, " +
			"to a client that makes the same context and ignores it.",
		columns: []string{"row", "none", "request", "to none", "context ignored", "context", "to ignored"},
	}
	for _, row := range r.rows {
		if len(row.Timeouts) == 0 {
			continue
		}
		none, request := r.rateWith(row, load.TimeoutNone), r.rateWith(row, load.TimeoutRequest)
		ignored, context := r.rateWith(row, load.TimeoutIgnored), r.rateWith(row, load.TimeoutContext)
		t.rows = append(t.rows, []string{
			row.Name, rate(none), rate(request), percent(request, none), rate(ignored), rate(context), percent(context, ignored),
		})
	}
	return t
}

// rateWith is a row's median with a mode of timeouts, zero without a result.
func (r report) rateWith(row row, t load.Timeout) float64 {
	s, _ := summarize(r.found.runs[row.Name][cell{timeoutCallers, timeoutSize, t}])
	return s.perSecond.median
}

func (r report) idleTable() table {
	t := table{
		heading: fmt.Sprintf("An idle connection: %d of them, in the server", r.options.idle),
		note:    "Each after one call of 64 KiB, then two collections. Measured once. RSS also holds what the collector has not given back.",
		columns: []string{"row", "heap KiB", "stack KiB", "RSS KiB", "goroutines"},
	}
	for _, row := range r.rows {
		idle, ok := r.found.idle[row.Name]
		if !ok {
			t.rows = append(t.rows, padded(row.Name, "no result", len(t.columns)))
			continue
		}
		t.rows = append(t.rows, []string{
			row.Name, kibibytes(idle.HeapBytes), kibibytes(idle.StackBytes), kibibytes(idle.RSSBytes), fmt.Sprintf("%.1f", idle.Goroutines),
		})
	}
	return t
}

// failureTable lists what did not go as it should, with the first words of
// each failure.
func (r report) failureTable() table {
	t := table{heading: "Failures", columns: []string{"row", "where", "what"}, leftAligned: true}
	for _, row := range r.rows {
		for _, c := range r.options.cells() {
			all := r.found.runs[row.Name][c]
			if all == nil {
				continue
			}
			where := fmt.Sprintf("%s, %s, timeout %s", callersName(c.callers), sizeName(c.size), c.timeout)
			for _, err := range all.failed {
				t.rows = append(t.rows, []string{row.Name, where, "no result: " + oneLine(err.Error())})
			}
			for _, result := range all.results {
				if result.Errors > 0 {
					t.rows = append(t.rows, []string{row.Name, where, fmt.Sprintf("%d calls failed: %s", result.Errors, oneLine(result.FirstError))})
				}
			}
		}
		if err := r.found.idleFailed[row.Name]; err != nil {
			t.rows = append(t.rows, []string{row.Name, "idle connections", oneLine(err.Error())})
		}
	}
	return t
}
