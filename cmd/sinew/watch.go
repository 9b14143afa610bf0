package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sinew-rpc/sinew/registry"
)

func newWatch(t *target) *cobra.Command {
	w := watcher{target: t}
	c := &cobra.Command{
		Use:   "watch",
		Short: "Show the providers of an application, and go on showing them",
		Long: `Asks every provider once an interval how it is, and shows that as a table: on a
terminal in place, elsewhere one below the other. Ctrl-C ends it.`,
		Example: "  sinew watch --registry zk://127.0.0.1:2181 --app shop",
		Args:    atMost(0, "flags alone"),
		RunE: func(c *cobra.Command, _ []string) error {
			if w.interval < minInterval {
				return misused("--interval must be at least %v", minInterval)
			}
			return w.watch(c.Context(), c.OutOrStdout())
		},
	}
	c.Flags().DurationVar(&w.interval, "interval", time.Second, "how often to ask")
	c.Flags().IntVarP(&w.times, "times", "n", 0, "how many times; 0 until Ctrl-C")
	return c
}

const minInterval = 10 * time.Millisecond

// watcher follows providers.
type watcher struct {
	target   *target
	interval time.Duration
	times    int

	before map[string]counted // by ProviderKey
	gone   map[string]registry.Provider
}

// counted is how far a provider had counted, and when.
type counted struct {
	requests uint64
	at       time.Time
}

func (w *watcher) watch(ctx context.Context, out io.Writer) error {
	r, err := w.target.open(ctx, "")
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := w.target.fleet()
	if err != nil {
		return err
	}
	defer f.Close()
	w.before, w.gone = make(map[string]counted), make(map[string]registry.Provider)
	display := newScreen(out)
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		if err := w.look(ctx, r, f, display); err != nil {
			if ctx.Err() != nil {
				return nil // told to end
			}
			return err
		}
		if n == w.times {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look asks all providers and shows what they answered.
func (w *watcher) look(ctx context.Context, r registry.Registry, f *fleet, display *screen) error {
	providers, state, err := w.target.providers(ctx, r)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, max(w.interval, w.target.timeout/3))
	defer cancel()
	probes := f.probe(within, providers)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	lines := []string{fmt.Sprintf("%s  %s", time.Now().Format(time.TimeOnly), plural(len(providers), "provider"))}
	if caution := caveat(state); caution != "" {
		lines = append(lines, caution)
	}
	display.show(append(lines, w.table(probes).lines()...))
	return nil
}

// table has a row for each provider, and one for each that was there before.
func (w *watcher) table(probes []probe) table {
	rows := table{{"PROVIDER", "STATE", "LATENCY", "CALLS/S", "CALLS", "CONNS", "IN FLIGHT", "REFUSED"}}
	missing := w.gone
	w.gone = make(map[string]registry.Provider)
	for _, p := range probes {
		key := p.provider.ProviderKey
		w.gone[key] = p.provider
		delete(missing, key)
		if p.err != nil {
			rows = append(rows, []string{key, p.state(), "-", "-", "-", "-", "-", "-", cut(brief(p.err), 60)})
			continue
		}
		rows = append(rows, []string{key, p.state(), short(p.took), w.rate(key, p.status.Requests), grouped(p.status.Requests),
			grouped(p.status.Connections), grouped(p.status.RequestsInFlight), grouped(p.status.Refused)})
	}
	for _, key := range sortedKeys(missing) {
		w.gone[key] = missing[key]
		rows = append(rows, []string{key, "gone", "-", "-", "-", "-", "-", "-"})
	}
	return rows
}

// rate is the calls a second since the last look, "-" at the first and after a
// restart.
func (w *watcher) rate(key string, requests uint64) string {
	before, known := w.before[key]
	now := counted{requests, time.Now()}
	w.before[key] = now
	if !known || requests < before.requests {
		return "-"
	}
	return grouped(int(float64(requests-before.requests) / now.at.Sub(before.at).Seconds()))
}
