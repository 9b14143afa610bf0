// Command bench measures sinew beside other RPC frameworks and prints tables.
//
// Every framework is a program of its own under limits, peers and sinew.
// bench builds them, runs each of them in every cell (a number of callers, a
// size of payload) once a round, in an order that is shuffled every round,
// and reports the median of all rounds with the least and the greatest. It
// leaves nothing out: a run that failed, and a call that did, stand in the
// table. All traffic is on the loopback interface.
//
// "bench overload" measures something else, once: what is left of each when more
// calls come than its server can answer. "bench gateway" measures JSON over HTTP.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "overload" {
		return runOverload(ctx, args)
	}
	if len(args) > 0 && args[0] == "gateway" {
		return runGateway(ctx, args)
	}
	o, err := parseOptions(args)
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
	rows, err := buildRows(ctx, dir, o.only, programs)
	if err != nil {
		return err
	}
	raw, err := openRaw(o.raw)
	if err != nil {
		return err
	}
	found, err := measureAll(ctx, o, rows, raw)
	if err != nil {
		return err
	}
	if err := raw.Close(); err != nil {
		return fmt.Errorf("raw results: %w", err)
	}
	return report{host: host, options: o, rows: rows, found: found}.print(os.Stdout)
}
