package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// bareHTTP is the row over which the cost of all others is given.
const bareHTTP = "limit/http"

// gatewayReport prints what was found of JSON over HTTP.
type gatewayReport struct {
	report
	note string
}

func (r gatewayReport) print(w io.Writer) error {
	if err := r.printHead(w); err != nil {
		return err
	}
	tables := []table{r.settings()}
	for _, size := range r.options.sizes {
		for _, callers := range r.options.callers {
			tables = append(tables, r.cellTable(cell{callers, size, load.TimeoutNone}))
		}
	}
	for _, t := range []table{r.verdictTable(), r.failureTable()} {
		if len(t.rows) > 0 {
			tables = append(tables, t)
		}
	}
	for _, t := range tables {
		if err := t.write(w, r.options.markdown); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

func (r gatewayReport) printHead(w io.Writer) error {
	o, title, bullet := r.options, "GATEWAY\n", "  "
	if o.markdown {
		title, bullet = "# Gateway\n", "- "
	}
	lines := []string{
		"Date: " + r.host.began.UTC().Format(time.RFC3339) + ", took " + time.Since(r.host.began).Round(time.Second).String(),
		"Command: " + r.host.command,
		"Commit: " + r.host.commit,
		fmt.Sprintf("Machine: %s, %d cores, Linux %s, %s", r.host.cpu, r.host.cores, r.host.kernel, r.host.goes),
		fmt.Sprintf("Rounds: %d, each row %v measured after %v of warm-up; order of rows shuffled each round, seed %d", o.rounds, o.duration, o.warmup, o.seed),
		"Call: POST of a struct of two fields, an int64 and bytes, as JSON; the reply is the same. The client is fasthttp's for all: HTTP/1.1, kept connections, one for each caller, no compression",
		"Servers: each in a process of its own; a row that forwards has its provider in a third",
	}
	if r.note != "" {
		lines = append(lines, "Note: "+r.note)
	}
	_, err := fmt.Fprintf(w, "%s\n%s%s\n", title, bullet, strings.Join(lines, "\n"+bullet))
	return err
}

func (r gatewayReport) cellTable(c cell) table {
	t := table{
		heading: fmt.Sprintf("%s, %s", callersName(c.callers), sizeName(c.size)),
		columns: []string{
			"row", "connections", "calls/s", "least … greatest", "to best peer", "to bare HTTP", "p50", "p99",
			"server CPU", "least … greatest", "to best peer", "over bare HTTP", "provider CPU", "client CPU", "server allocs", "errors",
		},
	}
	if c.callers == 1 {
		t.note = "Client and servers on one CPU."
	}
	bare, _ := summarize(r.found.runs[bareHTTP][c])
	for _, row := range r.rows {
		s, ok := summarize(r.found.runs[row.Name][c])
		if !ok {
			t.rows = append(t.rows, padded(row.Name, "no result", len(t.columns)))
			continue
		}
		best := r.best(c, row.Forwards)
		t.rows = append(t.rows, []string{
			row.Name, strconv.Itoa(s.connections),
			rate(s.perSecond.median), rate(s.perSecond.least) + " … " + rate(s.perSecond.greatest),
			ratio(s.perSecond.median, best.perSecond), ratio(s.perSecond.median, bare.perSecond.median),
			micros(s.p50), micros(s.p99),
			micros(s.serverCPU), micros(s.leastServerCPU) + " … " + micros(s.greatestServerCPU),
			ratio(float64(s.serverCPU), float64(best.serverCPU)), over(row, s, bare),
			behind(s), micros(s.clientCPU), fmt.Sprintf("%.1f", s.serverAllocs), strconv.FormatInt(s.errors, 10),
		})
	}
	return t
}

// over is what a call costs the server beyond what it costs the bare one.
func over(row row, s, bare summary) string {
	if row.Name == bareHTTP || bare.serverCPU == 0 {
		return absent
	}
	return fmt.Sprintf("%+.1f µs", float64(s.serverCPU-bare.serverCPU)/float64(time.Microsecond))
}

func behind(s summary) string {
	if s.behindCPU == 0 {
		return absent
	}
	return micros(s.behindCPU)
}

// bestOf is the best of peers, measure by measure.
type bestOf struct {
	perSecond float64
	serverCPU time.Duration
}

// best is the best of the peers that do the same work: those that forward, or
// those that answer themselves. Zero when none was measured.
func (r gatewayReport) best(c cell, forwards bool) bestOf {
	var b bestOf
	for _, row := range r.rows {
		s, ok := summarize(r.found.runs[row.Name][c])
		if !ok || row.kind != peer || row.Forwards != forwards {
			continue
		}
		b.perSecond = max(b.perSecond, s.perSecond.median)
		if b.serverCPU == 0 || s.serverCPU < b.serverCPU {
			b.serverCPU = s.serverCPU
		}
	}
	return b
}

// verdictTable holds our rows against the demand to be ahead of every peer.
func (r gatewayReport) verdictTable() table {
	t := table{
		heading: "What is demanded of sinew",
		note:    "To be ahead of the best peer that does the same work: answers itself, or forwards.",
		columns: []string{"row", "where", "calls/s to the best peer", "server CPU to the best peer", "ahead in both"},
	}
	for _, row := range r.rows {
		for _, c := range r.options.cells() {
			s, ok := summarize(r.found.runs[row.Name][c])
			best := r.best(c, row.Forwards)
			if row.kind != ours || !ok || best.perSecond == 0 {
				continue
			}
			t.rows = append(t.rows, []string{
				row.Name, callersName(c.callers) + ", " + sizeName(c.size),
				ratio(s.perSecond.median, best.perSecond), ratio(float64(s.serverCPU), float64(best.serverCPU)),
				yesNo(s.perSecond.median > best.perSecond && s.serverCPU < best.serverCPU),
			})
		}
	}
	return t
}
