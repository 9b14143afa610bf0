package main

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/histogram"
)

const maxCallers = 100_000

func newBench(t *target) *cobra.Command {
	var b bench
	c := &cobra.Command{
		Use:   "bench Type.Method [JSON]",
		Short: "Call a method over and over and measure that",
		Long: `Calls a method with a JSON body from many goroutines at once, and tells calls a
second and latencies: as it goes, and as a histogram at the end.

Without --rate each goroutine calls again when it is answered. With --rate calls are
due at even intervals whatever becomes of those before, and latencies count from
when a call was due: what a slow answer delays is not left out.

The method runs as often as it is called: choose one that may.`,
		Example:           `  sinew bench Arith.Add '{"A":1,"B":2}' --addr 127.0.0.1:8888 --duration 10s`,
		Args:              atMost(2, "a method and one JSON body, in single quotes"),
		ValidArgsFunction: completeMethod(t),
		RunE: func(c *cobra.Command, args []string) error {
			call, err := newJSONCall(c.Context(), args, c.InOrStdin())
			if err != nil {
				return err
			}
			b.call = call
			if err := b.check(); err != nil {
				return err
			}
			return b.run(c.Context(), t, newScreen(c.OutOrStdout()))
		},
	}
	flags := c.Flags()
	flags.IntVarP(&b.callers, "callers", "c", 32, "how many call at once")
	flags.DurationVarP(&b.duration, "duration", "d", 10*time.Second, "for how long; 0 until --calls or Ctrl-C")
	flags.Uint64VarP(&b.limit, "calls", "n", 0, "how many calls; 0 for as long as --duration says")
	flags.Float64Var(&b.rate, "rate", 0, "calls a second; 0 for as many as are answered")
	return c
}

// bench is a load and what came of it.
type bench struct {
	call     jsonCall
	callers  int
	duration time.Duration
	limit    uint64
	rate     float64

	begun    time.Time
	next     atomic.Uint64 // call to be made
	latency  histogram.Histogram
	answered atomic.Uint64
	failures failures
}

func (b *bench) check() error {
	switch {
	case b.callers < 1 || b.callers > maxCallers:
		return misused("--callers must be from 1 to %d", maxCallers)
	case b.duration < 0:
		return misused("--duration must not be negative")
	case b.rate < 0 || math.IsNaN(b.rate) || b.rate > 1e9:
		return misused("--rate must be from 0 to 1,000,000,000")
	}
	return nil
}

func (b *bench) run(ctx context.Context, t *target, display *screen) error {
	c, end, err := t.governed(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := b.call.do(ctx, c); err != nil {
		return adviseCall(fmt.Errorf("the first call failed: %s: %w", b.call.name(), err))
	}
	b.begun = time.Now()
	load, stop := context.WithCancel(ctx)
	defer stop()
	if b.duration > 0 {
		load, stop = context.WithTimeout(ctx, b.duration)
		defer stop()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var callers sync.WaitGroup
		for range b.callers {
			callers.Go(func() { b.callOverAndOver(load, ctx, c) })
		}
		callers.Wait()
	}()
	b.follow(done, display)
	display.show(b.summary(time.Since(b.begun)))
	if failed := b.failures.total(); failed > 0 {
		return fmt.Errorf("%s of %s calls failed", grouped(failed), grouped(failed+b.answered.Load()))
	}
	return nil
}

// callOverAndOver begins calls until load ends; those that were begun are waited
// for, unless ctx ends.
func (b *bench) callOverAndOver(load, ctx context.Context, c client.SGClient) {
	for load.Err() == nil {
		n := b.next.Add(1) - 1
		if b.limit > 0 && n >= b.limit {
			return
		}
		due := time.Now()
		if b.rate > 0 {
			due = b.begun.Add(time.Duration(float64(n) / b.rate * float64(time.Second)))
			if wait := time.Until(due); wait > 0 && pause(load, wait) != nil {
				return
			}
		}
		_, err := b.call.do(ctx, c)
		switch {
		case err == nil:
			b.latency.Record(time.Since(due))
			b.answered.Add(1)
		case ctx.Err() == nil:
			b.failures.note(err)
		}
	}
}

// follow shows how it goes, once a second, until done.
func (b *bench) follow(done <-chan struct{}, display *screen) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, at := new(histogram.Counted), b.begun
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			latency := b.latency.Snapshot()
			display.show([]string{b.progress(latency.Since(before), now.Sub(at))})
			before, at = latency, now
		}
	}
}

// progress is what was answered in the time since the line before.
func (b *bench) progress(latency *histogram.Counted, within time.Duration) string {
	elapsed := fmt.Sprintf("%.0fs", time.Since(b.begun).Seconds())
	if b.duration > 0 {
		elapsed += " of " + short(b.duration)
	}
	return fmt.Sprintf("%s  %s calls/s  p50 %s  p99 %s  failed %s", elapsed,
		grouped(int(float64(latency.Total())/within.Seconds())),
		short(latency.Quantile(0.5)), short(latency.Quantile(0.99)), grouped(b.failures.total()))
}
