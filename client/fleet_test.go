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

// fleet is several providers, p0, p1 and so on, on a network where each can be
// troubled alone, and a client that is connected to all of them.
type fleet struct {
	*testing.T
	net       *transport.MemNetwork
	registry  *memory.Registry
	providers []*provider
	client    client.SGClient
	begun     time.Time

	mu sync.Mutex
	// Guarded by mu:
	told []client.StateChange
	at   []time.Duration // after begun, of told
}

// withFleet runs f in a bubble.
func withFleet(t *testing.T, providers int, change func(*client.SGOption), f func(*fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &fleet{T: t, net: transport.NewMemNetwork(), registry: memory.NewRegistry("")}
		for i := range providers {
			w.providers = append(w.providers, listenMem(w, w.net, p(i)))
			list(t, w.registry, p(i), nil)
		}
		w.client = newSG(t, w.net, w.registry, func(op *client.SGOption) {
			op.HeartbeatInterval, op.HeartbeatDegradeThreshold = time.Second, 2
			op.OnStateChange = w.note
			if change != nil {
				change(op)
			}
		})
		for range 40 * providers { // each is called, but once in 10^13 runs
			say(t, w.client)
		}
		synctest.Wait()
		w.begun = time.Now()
		f(w)
	})
}

func p(i int) string { return fmt.Sprint("p", i) }

func (w *fleet) note(c client.StateChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, c)
	w.at = append(w.at, time.Since(w.begun))
}

// changes returns what was told of p(i) since the fleet was there, as "when
// state breaker".
func (w *fleet) changes(i int) (list []string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, c := range w.told {
		if c.Addr == p(i) && w.at[k] >= 0 && w.at[k] < time.Hour {
			list = append(list, fmt.Sprint(w.at[k], " ", c.State, " ", c.Breaker))
		}
	}
	return list
}

// freeze stops p(i) from reading, as SIGSTOP stops a process: its kernel goes on
// to accept connections and bytes.
func (w *fleet) freeze(i int) {
	w.net.SetFaultsAt(p(i), transport.MemFaults{ToListener: transport.MemPath{Stall: true}})
}

// degrade freezes p(i) until that is noticed.
func (w *fleet) degrade(i int) {
	w.Helper()
	w.freeze(i)
	time.Sleep(3 * time.Second)
	if s := w.status(i); s.State != client.Degraded {
		w.Fatalf("%s is %v", p(i), s.State)
	}
}

func (w *fleet) thaw(i int) { w.net.SetFaultsAt(p(i), transport.MemFaults{}) }

func (w *fleet) status(i int) client.ProviderStatus {
	w.Helper()
	synctest.Wait()
	for _, s := range w.client.Providers() {
		if s.Provider.Addr == p(i) {
			return s
		}
	}
	w.Fatalf("%s is not listed", p(i))
	return client.ProviderStatus{}
}

// served makes 60 calls that must not fail, and returns how many each answered.
func (w *fleet) served() []int {
	w.Helper()
	before := make([]int32, len(w.providers))
	for i, p := range w.providers {
		before[i] = p.calls.Load()
	}
	for range 20 * len(w.providers) {
		say(w, w.client)
	}
	out := make([]int, len(w.providers))
	for i, p := range w.providers {
		out[i] = int(p.calls.Load() - before[i])
	}
	return out
}

// fail makes p(i) answer Echo.Sick with the error that it is given, and others
// well.
func (w *fleet) fail(i int, err error) {
	w.Helper()
	w.providers[i].handle("Echo.Sick", func(context.Context, *text) (*text, error) { return nil, err })
	for k, p := range w.providers {
		if k != i {
			p.handle("Echo.Sick", func(context.Context, *text) (*text, error) { return &text{}, nil })
		}
	}
}

// sick calls Echo.Sick until n calls have failed, and returns the last error.
func (w *fleet) sick(n int) (last error) {
	w.Helper()
	for range 1000 * n {
		if n == 0 {
			return last
		}
		if err := w.client.Call(context.Background(), "Echo.Sick", &text{}, nil); err != nil {
			last = err
			n--
		}
	}
	w.Fatalf("%d calls did not fail", n)
	return nil
}

// wantOpen checks that err is of a call that no breaker let pass.
func wantOpen(t testing.TB, err error, after time.Duration) {
	t.Helper()
	wantError(t, err, protocol.Unavailable, protocol.NotSent, "breaker is open")
	var open *client.BreakerError
	var e *protocol.Error
	if !errors.As(err, &open) || !errors.As(err, &e) {
		t.Fatalf("no *BreakerError in %v", err)
	}
	if e.RetryAfter != after || time.Until(open.RetryAt) != after {
		t.Errorf("%v says to come back in %v, at %v, want in %v", err, e.RetryAfter, open.RetryAt, after)
	}
}
