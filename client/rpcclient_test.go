package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/transport"
)

func TestCallsOfEveryKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		p := listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		ctx := context.Background()

		var resp text
		if err := c.Call(ctx, "Echo.Say", &text{S: "one"}, &resp); err != nil || resp.S != "one" {
			t.Errorf("Call: %q, %v", resp.S, err)
		}
		if err := c.Call(ctx, "Echo.Say", &text{S: "one"}, nil); err != nil {
			t.Errorf("Call without a reply: %v", err)
		}
		typed, err := client.Invoke[text](ctx, c, "Echo.Say", &text{S: "two"})
		if err != nil || typed.S != "two" {
			t.Errorf("Invoke: %v, %v", typed, err)
		}
		call := <-c.Go(ctx, "Echo.Say", &text{S: "three"}, &resp, nil).Done
		if call.Error != nil || resp.S != "three" {
			t.Errorf("Go: %q, %v", resp.S, call.Error)
		}
		before := p.calls.Load()
		if err := c.Notify(ctx, "Echo.Say", &text{S: "four"}); err != nil {
			t.Errorf("Notify: %v", err)
		}
		synctest.Wait()
		if got := p.calls.Load() - before; got != 1 {
			t.Errorf("Notify ran the method %d times", got)
		}
		if n := p.accepted.Load(); n != 1 {
			t.Errorf("%d connections for one client", n)
		}
	})
}

func TestSGClientCallsAProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		r := memory.NewRegistry("app")
		err := r.Register(context.Background(), registry.RegisterOption{}, registry.Provider{Network: "mem", Addr: "a"})
		if err != nil {
			t.Fatal(err)
		}
		op := client.DefaultSGOption
		op.AppKey, op.Registry, op.Mem = "app", r, n
		c, err := client.NewSGClient(op)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		say(t, c)
	})
}

func TestDeadAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialMem(t, transport.NewMemNetwork(), "nobody", client.Option{})
		err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "refused")
		_ = c.Close()
		err = c.Call(context.Background(), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "closed")
		if !errors.Is(err, client.ErrClosed) {
			t.Errorf("%v is not ErrClosed", err)
		}
	})
}
