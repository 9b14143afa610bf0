package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

// gatewayOptions are those of "bench gateway".
type gatewayOptions struct {
	options
	note string
}

func parseGatewayOptions(args []string) (gatewayOptions, error) {
	var o gatewayOptions
	var only, sizes, callers string
	f := flag.NewFlagSet("bench gateway", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 7, "how often each row is measured")
	f.DurationVar(&o.duration, "duration", 2*time.Second, "measured time of each run")
	f.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "time of calls before it")
	f.StringVar(&only, "peers", "", "rows to measure, a comma list of names or of what stands before the slash (default all)")
	f.StringVar(&sizes, "sizes", "16,1024", "bytes of payload, a comma list")
	f.StringVar(&callers, "callers", "1,100", "numbers of callers, each with a connection; 1 is pinned to one CPU with its server")
	f.IntVar(&o.cpu, "cpu", 0, "the CPU for one caller and its server")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the order of rows (default: by chance, printed)")
	f.BoolVar(&o.markdown, "markdown", false, "print Markdown")
	f.StringVar(&o.note, "note", "", "what else is to be known of the run, for the head of the report")
	f.StringVar(&o.raw, "raw", "", "file for each single result as a line of JSON")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	var err error
	if o.sizes, err = numbers("sizes", sizes, 0, maxSize); err != nil {
		return o, err
	}
	if o.callers, err = numbers("callers", callers, 1, maxCallers); err != nil {
		return o, err
	}
	return o, o.check()
}

// runGateway measures JSON over HTTP, in rounds as everything else.
func runGateway(ctx context.Context, args []string) error {
	o, err := parseGatewayOptions(args[1:])
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
	rows, err := buildRows(ctx, dir, o.only, overHTTP)
	if err != nil {
		return err
	}
	raw, err := openRaw(o.raw)
	if err != nil {
		return err
	}
	found, err := measureAll(ctx, o.options, rows, raw)
	if err != nil {
		return err
	}
	if err := raw.Close(); err != nil {
		return fmt.Errorf("raw results: %w", err)
	}
	return gatewayReport{report{host, o.options, rows, found}, o.note}.print(os.Stdout)
}
