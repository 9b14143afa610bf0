package client_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

// homemade is a registry that says what it is told, and no more: providers may be
// incomplete, out of order, or listed twice.
type homemade struct {
	unready
	lists chan []registry.Provider
}

func (r *homemade) Watch() (registry.Watcher, error) { return r, nil }

// Next implements registry.Watcher.
func (r *homemade) Next(ctx context.Context) (registry.Snapshot, error) {
	select {
	case ps := <-r.lists:
		return registry.Snapshot{Providers: ps}, nil
	case <-ctx.Done():
		return registry.Snapshot{}, ctx.Err()
	}
}

func TestAListThatLeavesKeysToItsReaders(t *testing.T) {
	quiet(t)
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		a, b := listenMem(t, n, "a"), listenMem(t, n, "b")
		r := &homemade{lists: make(chan []registry.Provider)}
		c := newSG(t, n, r, func(op *client.SGOption) { op.AllowLocal, op.AppKey = true, "app" })
		for range 5 {
			r.lists <- []registry.Provider{
				{Network: "mem", Addr: "b"},
				{ProviderKey: "mem@a"},
				{Addr: "nowhere"},
				{Network: "mem", Addr: "a", Weight: 2},
			}
			synctest.Wait()
			for range 80 { // each is called, but once in 10^13 runs
				say(t, c)
			}
		}
		list := c.Providers()
		if len(list) != 2 || list[0].Provider.ProviderKey != "mem@a" || list[0].Provider.Weight != 2 || list[1].Provider.ProviderKey != "mem@b" {
			t.Errorf("the client knows %+v, want mem@a as it was listed last, and mem@b", list)
		}
		if a.accepted.Load() != 1 || b.accepted.Load() != 1 {
			t.Errorf("%d and %d connections, want one to each", a.accepted.Load(), b.accepted.Load())
		}
	})
}
