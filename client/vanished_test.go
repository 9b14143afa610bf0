package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/transport"
)

// vanish takes p(i) off the network without a word, as a host that loses its power.
func vanish(n *transport.MemNetwork, i int) {
	n.SetFaultsAt(p(i), transport.BothWays(transport.MemPath{Blackhole: true, Buffer: 20}))
}

// withNewClient runs f in a bubble, with a client that has called nobody yet.
func withNewClient(t *testing.T, providers int, change func(*client.SGOption), f func(n *transport.MemNetwork, c client.SGClient)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n, r := transport.NewMemNetwork(), memory.NewRegistry("")
		for i := range providers {
			listenMem(t, n, p(i))
			list(t, r, p(i), nil)
		}
		f(n, newSG(t, n, r, change))
	})
}

// No call that could go to another provider is lost to a host that is not there.
func TestANewClientLosesNoCallToAHostThatIsNotThere(t *testing.T) {
	withNewClient(t, 3, nil, func(n *transport.MemNetwork, c client.SGClient) {
		vanish(n, 0)
		var wg sync.WaitGroup
		for range 60 {
			wg.Go(func() {
				begun := time.Now()
				say(t, c)
				if took := time.Since(begun); took != 0 && took != 500*time.Millisecond {
					t.Errorf("answered after %v, want at once, or when half of the time is over", took)
				}
			})
		}
		wg.Wait()
		for range 60 {
			begun := time.Now()
			say(t, c)
			if took := time.Since(begun); took != 0 {
				t.Errorf("with the host known not to be there, a call took %v", took)
			}
		}
		if s := statusOf(t, c, p(0)); s.Excluded == nil || s.State != client.Connecting {
			t.Errorf("the dial still hangs, and it is %v, excluded %v", s.State, s.Excluded)
		}
	})
}

// The host vanishes later, and the kernel is the first to know: who calls next does
// not wait for the dial.
func TestAHostThatVanishedCostsNoCallAnyTime(t *testing.T) {
	withFleet(t, 3, func(op *client.SGOption) { op.Heartbeat = false }, func(w *fleet) {
		vanish(w.net, 0)
		for range 20 { // their frames fill the buffer, and WriteTimeout ends the session
			_ = w.client.Call(context.Background(), "Echo.Say", &text{"x"}, nil)
		}
		time.Sleep(transport.DefaultWriteTimeout)
		if s := w.status(0); s.State == client.Connected || s.Excluded == nil {
			t.Fatalf("the session has ended, and it is %v, excluded %v", s.State, s.Excluded)
		}
		for range 5000 {
			begun := time.Now()
			say(t, w.client)
			if took := time.Since(begun); took != 0 {
				t.Errorf("a call waited %v", took)
			}
			time.Sleep(time.Millisecond)
		}
		w.thaw(0)
		time.Sleep(10 * time.Second)
		if got := w.served(); got[0] == 0 {
			t.Errorf("it is back and is not called: %v", got)
		}
	})
}

// Whoever has nobody else to call waits for as long as there is time.
func TestACallWithNowhereElseToGoWaitsForTheDial(t *testing.T) {
	here := map[string]string{"idc": "here"}
	only := client.With(context.Background(), client.Tags(here))
	say := func(c client.SGClient) error { return c.Call(only, "Echo.Say", &text{"x"}, nil) }
	toAll := func(c client.SGClient) error { return c.Broadcast(only, "Echo.Say", &text{"x"}, nil) }
	for _, test := range []struct {
		name  string
		other func(t *testing.T, n *transport.MemNetwork, r *memory.Registry, c client.SGClient)
		call  func(c client.SGClient) error
	}{
		{"there is no other", func(*testing.T, *transport.MemNetwork, *memory.Registry, client.SGClient) {}, say},
		{"the other is known not to be there", func(t *testing.T, n *transport.MemNetwork, r *memory.Registry, c client.SGClient) {
			list(t, r, p(1), here)
			wantError(t, say(c), protocol.Unavailable, protocol.NotSent, "refused")
		}, say},
		{"the other has other tags", func(t *testing.T, n *transport.MemNetwork, r *memory.Registry, _ client.SGClient) {
			listenMem(t, n, p(1))
			list(t, r, p(1), nil)
		}, say},
		{"it is for all", func(t *testing.T, n *transport.MemNetwork, r *memory.Registry, _ client.SGClient) {
			listenMem(t, n, p(1))
			list(t, r, p(1), here)
		}, toAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 10 { // whoever is picked first
				synctest.Test(t, func(t *testing.T) {
					n, r := transport.NewMemNetwork(), memory.NewRegistry("")
					c := newSG(t, n, r, nil)
					test.other(t, n, r, c)
					listenMem(t, n, p(0))
					list(t, r, p(0), here)
					synctest.Wait()
					n.SetFaultsAt(p(0), transport.BothWays(transport.MemPath{Latency: 350 * time.Millisecond}))
					time.AfterFunc(600*time.Millisecond, func() { n.SetFaultsAt(p(0), transport.MemFaults{}) })
					begun := time.Now()
					if err := test.call(c); err != nil {
						t.Error(err)
					}
					if took := time.Since(begun); took != 700*time.Millisecond {
						t.Errorf("answered after %v, want as soon as the connection was made", took)
					}
				})
			}
		})
	}
}

// The last one to be tried says why the call failed.
func TestACallThatMetOnlyHostsThatAreNotThere(t *testing.T) {
	withNewClient(t, 2, nil, func(n *transport.MemNetwork, c client.SGClient) {
		vanish(n, 0)
		vanish(n, 1)
		begun := time.Now()
		err := c.Call(context.Background(), "Echo.Say", &text{"x"}, nil)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it ended after %v", took)
		}
		wantError(t, err, protocol.DeadlineExceeded, protocol.NotSent, "while waiting for a connection")
		var story *client.Explanation
		if !errors.As(err, &story) || len(story.Attempts) != 2 || !story.Attempts[0].Move {
			t.Errorf("the story is %v", story)
		}
	})
}

func statusOf(t testing.TB, c client.SGClient, addr string) client.ProviderStatus {
	t.Helper()
	synctest.Wait()
	for _, s := range c.Providers() {
		if s.Provider.Addr == addr {
			return s
		}
	}
	t.Fatal(fmt.Sprint(addr, " is not listed"))
	return client.ProviderStatus{}
}
