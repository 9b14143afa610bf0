package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// timeoutCell is where timeouts are measured: calls small and many enough
// for a timer to show.
const (
	timeoutCallers = 100
	timeoutSize    = 16
)

// runLimit bounds one program beyond its own bounds.
const runLimit = 10 * time.Minute

// cell is what the rows of one table have in common.
type cell struct {
	callers int
	size    int
	timeout load.Timeout
}

// runs is all that was measured of one row in one cell.
type runs struct {
	results []load.Result
	failed  []error // a round that gave no result
}

// findings is everything that was measured.
type findings struct {
	runs map[string]map[cell]*runs // by row name
	idle map[string]load.Idle
	// idleFailed holds the rows whose idle connections could not be measured.
	idleFailed map[string]error
}

// cells lists the plain cells, then those for timeouts that are not among them.
func (o options) cells() []cell {
	var all []cell
	for _, size := range o.sizes {
		for _, callers := range o.callers {
			all = append(all, cell{callers, size, load.TimeoutNone})
		}
	}
	if o.timeouts {
		all = append(all, o.timeoutCells()...)
	}
	return all
}

// timeoutCells lists the modes to compare. The plain one is measured again
// beside them unless it is among the plain cells already.
func (o options) timeoutCells() []cell {
	var all []cell
	plain := cell{timeoutCallers, timeoutSize, load.TimeoutNone}
	if !contains(o.sizes, timeoutSize) || !contains(o.callers, timeoutCallers) {
		all = append(all, plain)
	}
	for _, t := range []load.Timeout{load.TimeoutRequest, load.TimeoutIgnored, load.TimeoutContext} {
		all = append(all, cell{timeoutCallers, timeoutSize, t})
	}
	return all
}

func contains(all []int, n int) bool {
	for _, a := range all {
		if a == n {
			return true
		}
	}
	return false
}

// measureAll runs every round. It fails only when the whole cannot go on: a
// row that fails is a finding.
func measureAll(ctx context.Context, o options, rows []row, raw io.Writer) (*findings, error) {
	cells := o.cells()
	perRun := o.duration + o.warmup + time.Second
	fmt.Fprintf(os.Stderr, "%d rounds of %d rows in %d cells, about %v\n", o.rounds, len(rows), len(cells),
		(time.Duration(o.rounds*len(rows)*len(cells)) * perRun).Round(time.Minute))
	f := &findings{runs: map[string]map[cell]*runs{}, idle: map[string]load.Idle{}, idleFailed: map[string]error{}}
	for _, r := range rows {
		f.runs[r.Name] = map[cell]*runs{}
	}
	order := rand.New(rand.NewPCG(o.seed, 0))
	for round := range o.rounds {
		for _, c := range cells {
			fmt.Fprintf(os.Stderr, "round %d of %d: %d callers, %d bytes, timeout %s\n", round+1, o.rounds, c.callers, c.size, c.timeout)
			for _, i := range order.Perm(len(rows)) {
				if err := f.measure(ctx, o, rows[i], c, raw); err != nil {
					return nil, err
				}
			}
		}
	}
	return f, f.measureIdle(ctx, o, rows, raw)
}

// measure runs one row in one cell once.
func (f *findings) measure(ctx context.Context, o options, r row, c cell, raw io.Writer) error {
	if !r.supports(c.timeout) {
		return nil
	}
	all := f.runs[r.Name][c]
	if all == nil {
		all = &runs{}
		f.runs[r.Name][c] = all
	}
	var result load.Result
	err := execute(ctx, o.command(r, c), &result, raw)
	if ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", ctx.Err())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", r.Name, err)
		all.failed = append(all.failed, err)
		return nil
	}
	all.results = append(all.results, result)
	return nil
}

// command is the command line of one run. One caller shares a CPU with its
// server: on two, the figure would be how fast the machine wakes a core.
func (o options) command(r row, c cell) []string {
	line := []string{
		r.program, "client", "-row", r.Name,
		"-callers", strconv.Itoa(c.callers), "-size", strconv.Itoa(c.size),
		"-warmup", o.warmup.String(), "-duration", o.duration.String(),
		"-timeout", string(c.timeout),
	}
	if c.callers == 1 {
		line = append([]string{"taskset", "-c", strconv.Itoa(o.cpu)}, line...)
	}
	return line
}

func (f *findings) measureIdle(ctx context.Context, o options, rows []row, raw io.Writer) error {
	if o.idle == 0 {
		return nil
	}
	for _, r := range rows {
		fmt.Fprintf(os.Stderr, "%d idle connections: %s\n", o.idle, r.Name)
		var idle load.Idle
		err := execute(ctx, []string{r.program, "idle", "-row", r.Name, "-connections", strconv.Itoa(o.idle)}, &idle, raw)
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w", ctx.Err())
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", r.Name, err)
			f.idleFailed[r.Name] = err
			continue
		}
		f.idle[r.Name] = idle
	}
	return nil
}

// execute runs a program that prints one line of JSON, keeps the line, and
// reads it into v.
func execute(ctx context.Context, line []string, v any, raw io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(complaints.String()))
	}
	if _, err := raw.Write(out); err != nil {
		return fmt.Errorf("keep the result: %w", err)
	}
	if err := json.Unmarshal(out, v); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

// openRaw opens the file for single results; without a name they go nowhere.
func openRaw(name string) (io.WriteCloser, error) {
	if name == "" {
		return nowhere{}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("raw results: %w", err)
	}
	return f, nil
}

type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) Close() error                { return nil }
