package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// overloadOptions are those of "bench overload".
type overloadOptions struct {
	load.Overload
	only     []string
	markdown bool
	plot     string
	raw      string
	note     string
}

func parseOverloadOptions(args []string) (overloadOptions, error) {
	var o overloadOptions
	var only string
	f := flag.NewFlagSet("bench overload", flag.ContinueOnError)
	f.IntVar(&o.Size, "size", 16, "bytes of payload")
	f.IntVar(&o.Times, "times", 5, "the load, in capacities of the server")
	f.DurationVar(&o.Calm, "calm", 5*time.Second, "time at three quarters of the capacity, before and after")
	f.DurationVar(&o.For, "duration", 30*time.Second, "time of overload")
	f.DurationVar(&o.Deadline, "deadline", 200*time.Millisecond, "of each call")
	f.StringVar(&only, "peers", "", "rows to measure, a comma list of names or of what stands before the slash (default all)")
	f.BoolVar(&o.markdown, "markdown", false, "print Markdown")
	f.StringVar(&o.plot, "plot", "", "file for a plot, as SVG")
	f.StringVar(&o.note, "note", "", "what else is to be known of the run, for the head of the report")
	f.StringVar(&o.raw, "raw", "", "file for each single result as a line of JSON")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for name, d := range map[string]time.Duration{"calm": o.Calm, "duration": o.For} {
		if d < time.Second || d > 10*maxDuration || d%time.Second != 0 {
			return o, fmt.Errorf("-%s %v is no number of whole seconds up to %v", name, d, 10*maxDuration)
		}
	}
	return o, nil
}

// crowd is what became of one row under overload.
type crowd struct {
	row    row
	result load.OverloadResult
	failed error // it gave no result
}

// runOverload measures every row once, one after the other: each takes as long
// as it takes, and says the same every time.
func runOverload(ctx context.Context, args []string) error {
	o, err := parseOverloadOptions(args[1:])
	if err != nil {
		return err
	}
	host, err := describeMachine(ctx, args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return fmt.Errorf("room for the programs: %w", err)
	}
	defer os.RemoveAll(dir)
	rows, err := buildRows(ctx, dir, o.only, crowded)
	if err != nil {
		return err
	}
	raw, err := openRaw(o.raw)
	if err != nil {
		return err
	}
	var all []crowd
	for _, r := range rows {
		fmt.Fprintf(os.Stderr, "overload of %s: %v\n", r.Name, o.For+2*o.Calm)
		c := crowd{row: r}
		c.failed = execute(ctx, o.command(r), &c.result, raw)
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w", ctx.Err())
		}
		all = append(all, c)
	}
	if err := raw.Close(); err != nil {
		return fmt.Errorf("raw results: %w", err)
	}
	if err := (overloadReport{host: host, options: o, crowds: all}).print(os.Stdout); err != nil {
		return err
	}
	if o.plot == "" {
		return nil
	}
	if err := os.WriteFile(o.plot, []byte(plotOverload(o.Overload, all)), 0o644); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}

func (o overloadOptions) command(r row) []string {
	return []string{
		r.program, "overload", "-row", r.Name, "-size", strconv.Itoa(o.Size), "-times", strconv.Itoa(o.Times),
		"-calm", o.Calm.String(), "-duration", o.For.String(), "-deadline", o.Deadline.String(),
	}
}
