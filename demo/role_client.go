package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/registry"
)

// newClient returns a client of the addresses in s, or of whom the registry
// lists, and what ends both.
func newClient(s settings, wrappers ...client.Wrapper) (c client.SGClient, end func(), err error) {
	r, err := whom(s)
	if err != nil {
		return nil, nil, err
	}
	op := client.DefaultSGOption
	op.AppKey, op.Registry = s.app, r
	op.RequestTimeout = s.timeout
	op.Wrappers = wrappers
	if c, err = client.NewSGClient(op); err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	return c, func() {
		_ = c.Close() // returns nil, as the registry's does
		_ = r.Close()
	}, nil
}

// whom returns the registry that says whom to call: the addresses given are one.
func whom(s settings) (registry.Registry, error) {
	if len(s.addrs) == 0 {
		return openRegistry(s.registry, s.app)
	}
	r := registry.NewPeer2PeerRegistry()
	for _, addr := range s.addrs {
		r.WithProvider(registry.Provider{Network: "tcp", Addr: addr})
	}
	return r, nil
}

// callees is whom s calls, in words.
func callees(s settings) string {
	if len(s.addrs) == 0 {
		return "whoever " + s.registry + " lists under " + s.app
	}
	return strings.Join(s.addrs, ", ")
}

// callForAWhile is the role of a client that others serve.
func callForAWhile(ctx context.Context, s settings, out io.Writer) error {
	text, err := openBook(s.file)
	if err != nil {
		return err
	}
	observed := new(observer)
	c, end, err := newClient(s, observed)
	if err != nil {
		return err
	}
	defer end()
	if err := reachOne(ctx, c, s); err != nil {
		return err
	}
	display := newScreen(out)
	display.say("calling %s from %d goroutines; Ctrl-C ends it", callees(s), s.callers)

	calls := &load{caller: c, book: text, callers: s.callers}
	reports := newReporter(observed, s.duration, func(key string) standing { return standingOf(c, key) })
	runLoad(ctx, calls, s.duration, func(ctx context.Context) { reports.follow(ctx, display) })
	display.finish(reports.overall())
	for _, line := range summary(observed, calls, reports) {
		display.say("%s", line)
	}
	if failed, answered := observed.calls.failed.Load(), observed.calls.answered.Load(); failed > 0 {
		return fmt.Errorf("%s of %s calls failed", grouped(failed), grouped(failed+answered))
	}
	if wrong := calls.wrong.Load(); wrong > 0 {
		return fmt.Errorf("%s replies were wrong", grouped(wrong))
	}
	return nil
}

// reachOne makes a first call, so that a wrong address is told at once.
func reachOne(ctx context.Context, c client.SGClient, s settings) error {
	_, err := client.Invoke[result](ctx, c, "ArithService.Add", &operands{A: 1, B: 1})
	if err != nil {
		return adviseCall(fmt.Errorf("the first call failed: %w", err), s)
	}
	return nil
}
