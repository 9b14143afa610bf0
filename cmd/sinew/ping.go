package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

func newPing(t *target) *cobra.Command {
	var p pinger
	c := &cobra.Command{
		Use:   "ping",
		Short: "Send heartbeats to providers and time the answers",
		Long: `Connects to each provider and sends it heartbeats, which are answered below its
wrappers: no auth, no tags, no limits. It fails when one of them is not answered.`,
		Example: "  sinew ping --addr 127.0.0.1:8888",
		Args:    atMost(0, "flags alone"),
		RunE: func(c *cobra.Command, _ []string) error {
			if p.times < 1 || p.interval < 0 {
				return misused("--times must be positive, and --interval not negative")
			}
			p.out = c.OutOrStdout()
			return p.pingAll(c.Context(), t)
		},
	}
	c.Flags().IntVarP(&p.times, "times", "n", 3, "how many heartbeats")
	c.Flags().DurationVar(&p.interval, "interval", 200*time.Millisecond, "between two of them")
	return c
}

// pinger pings one provider after the other.
type pinger struct {
	times    int
	interval time.Duration
	out      io.Writer
}

func (p *pinger) pingAll(ctx context.Context, t *target) error {
	r, err := t.open(ctx, "")
	if err != nil {
		return err
	}
	defer r.Close()
	providers, _, err := t.providers(ctx, r)
	if err != nil {
		return err
	}
	silent := 0
	for _, provider := range providers {
		if err := p.ping(ctx, t, provider); err != nil {
			fmt.Fprintf(p.out, "%s: %v\n", provider.ProviderKey, err)
			silent++
		}
	}
	switch {
	case len(providers) == 0:
		return errors.New("no provider is listed")
	case silent > 0:
		return fmt.Errorf("%s of %d not answered", plural(silent, "provider"), len(providers))
	}
	return nil
}

// ping says what it sees as it goes.
func (p *pinger) ping(ctx context.Context, t *target, provider registry.Provider) error {
	if err := t.tls.check(provider.Network); err != nil {
		return err
	}
	config, err := t.tls.config()
	if err != nil {
		return err
	}
	begun := time.Now()
	conn, err := transport.Dial(ctx, provider.Network, provider.Addr, transport.DialOptions{TLSConfig: config, Timeout: t.timeout})
	if err != nil {
		return err
	}
	connected := time.Since(begun)
	var workers transport.Workers
	defer workers.Close()
	session, err := transport.NewSession(conn, &transport.SessionConfig{Workers: &workers})
	if err != nil {
		return err
	}
	defer session.Close()
	fmt.Fprintf(p.out, "%s: connected in %s\n", provider.ProviderKey, short(connected))
	for n := 1; n <= p.times; n++ {
		begun := time.Now()
		if err := session.Ping(ctx, begun.Add(t.timeout)); err != nil {
			return fmt.Errorf("heartbeat %d: %w", n, err)
		}
		fmt.Fprintf(p.out, "%s: heartbeat %d answered in %s\n", provider.ProviderKey, n, short(time.Since(begun)))
		if n < p.times {
			if err := pause(ctx, p.interval); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
