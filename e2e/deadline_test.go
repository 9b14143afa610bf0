package e2e

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// trouble is something that keeps a call from being answered.
type trouble struct {
	name   string
	method string
	data   int                           // bytes in each request
	warm   bool                          // there is a connection before it happens
	happen func(n *transport.MemNetwork) // to the provider at "a"
	early  bool                          // the call may end before its deadline
}

func troubles() []trouble {
	faults := func(f transport.MemFaults) func(*transport.MemNetwork) {
		return func(n *transport.MemNetwork) { n.SetFaults(f) }
	}
	black, stall := transport.MemPath{Blackhole: true}, transport.MemPath{Stall: true}
	return []trouble{
		{name: "handler hangs", method: "Echo.Hang", warm: true},
		{name: "handler hangs, first call", method: "Echo.Hang"},
		{name: "dial hangs", method: "Echo.Say", happen: faults(transport.MemFaults{HangDials: true})},
		{name: "black hole both ways", method: "Echo.Say", warm: true, happen: faults(transport.BothWays(black))},
		{name: "black hole for requests", method: "Echo.Say", warm: true, happen: faults(transport.MemFaults{ToListener: black})},
		{name: "black hole for replies", method: "Echo.Say", warm: true, happen: faults(transport.MemFaults{ToDialer: black})},
		{name: "black hole, large bodies", method: "Echo.Say", data: 300 << 10, warm: true, happen: faults(transport.BothWays(black))},
		{name: "server does not read", method: "Echo.Say", warm: true, happen: faults(transport.MemFaults{ToListener: stall})},
		{name: "server does not read, large bodies", method: "Echo.Say", data: 300 << 10, warm: true, happen: faults(transport.MemFaults{ToListener: stall})},
		{name: "client's socket brings nothing", method: "Echo.Say", warm: true, happen: faults(transport.MemFaults{ToDialer: stall})},
		{name: "latency beyond the deadline", method: "Echo.Say", warm: true, happen: faults(transport.BothWays(transport.MemPath{Latency: time.Minute}))},
		{name: "a line of 1 KiB/s", method: "Echo.Say", data: 300 << 10, warm: true, happen: faults(transport.BothWays(transport.MemPath{Bandwidth: 1 << 10}))},
		{name: "cut", method: "Echo.Hang", warm: true, early: true, happen: func(n *transport.MemNetwork) {
			time.AfterFunc(15*time.Millisecond, func() { n.Cut("a") })
		}},
		{name: "cut, then dials hang", method: "Echo.Hang", warm: true, early: true, happen: func(n *transport.MemNetwork) {
			n.SetFaults(transport.MemFaults{HangDials: true})
			n.Cut("a")
		}},
		{name: "cut while writing", method: "Echo.Say", data: 300 << 10, warm: true, early: true, happen: faults(transport.MemFaults{ToListener: transport.MemPath{CutAfter: 100 << 10, Bandwidth: 1 << 20}})},
	}
}

// Whatever goes wrong, a call ends at its deadline: not a nanosecond later.
func TestNoCallOutlivesItsDeadline(t *testing.T) {
	for _, x := range troubles() {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runTrouble(t, x) })
		})
	}
}

func runTrouble(t *testing.T, x trouble) {
	n := transport.NewMemNetwork()
	serve(t, newServer(t, server.Option{Mem: n}, new(echo.Echo)), "mem", "a")
	r := memory.NewRegistry("")
	if err := r.Register(t.Context(), registry.RegisterOption{}, registry.Provider{Network: "mem", Addr: "a"}); err != nil {
		t.Fatal(err)
	}
	// WriteTimeout would end the connection, and the calls with it, on its own.
	o := client.Option{Mem: n, WriteTimeout: time.Hour, DialTimeout: -1, RequestTimeout: 80 * time.Millisecond}
	clients := map[string]client.RPCClient{
		"RPCClient": dial(t, "mem", "a", o),
		"SGClient":  governed(t, r, client.SGOption{Option: o}),
	}
	if x.warm {
		for _, c := range clients {
			say(t, c)
		}
	}
	if x.happen != nil {
		x.happen(n)
	}
	ended := make(chan struct{})
	running := 0
	for name, c := range clients {
		for _, limit := range []time.Duration{time.Nanosecond, 10 * time.Millisecond, 50 * time.Millisecond, time.Hour} {
			running += 2
			go func() {
				endsInTime(t, name, c, x, limit)
				ended <- struct{}{}
			}()
			go func() {
				notifiesInTime(t, name, c, x, limit)
				ended <- struct{}{}
			}()
		}
	}
	for range running {
		<-ended
	}
	n.SetFaults(transport.MemFaults{}) // so that all can be closed in good order
}

// endsInTime makes one call that ends after limit, or after RequestTimeout.
func endsInTime(t *testing.T, name string, c client.Caller, x trouble, limit time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	limit = min(limit, 80*time.Millisecond)
	begun := time.Now()
	err := c.Call(ctx, x.method, &echo.Body{Data: make([]byte, x.data)}, new(echo.Body))
	took := time.Since(begun)
	switch {
	case took > limit:
		t.Errorf("%s: a call with %v took %v: %v", name, limit, took, err)
	case took < limit && !x.early:
		t.Errorf("%s: a call with %v ended after %v: %v", name, limit, took, err)
	case err == nil:
		t.Errorf("%s: a call with %v was answered", name, limit)
	case took == limit && protocol.CodeOf(err) != protocol.DeadlineExceeded && protocol.OutcomeOf(err) != protocol.Ran && !x.early:
		// The handler's own deadline is the same moment: its answer may be first.
		t.Errorf("%s: a call with %v ended with %v", name, limit, err)
	}
}

// notifiesInTime is endsInTime for a oneway, which may well succeed: it needs no
// more than a socket that takes it.
func notifiesInTime(t *testing.T, name string, c client.RPCClient, x trouble, limit time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	limit = min(limit, 80*time.Millisecond)
	begun := time.Now()
	err := c.Notify(ctx, x.method, &echo.Body{Data: make([]byte, x.data)})
	if took := time.Since(begun); took > limit {
		t.Errorf("%s: a oneway with %v took %v: %v", name, limit, took, err)
	}
}
