package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
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

// herd is a thousand clients of one provider, and what they do when it is gone.
type herd struct {
	*testing.T
	network *transport.MemNetwork
	began   time.Time

	mu sync.Mutex
	// Guarded by mu:
	dials     map[time.Duration]int // begun, by tenths of a second
	connected int
}

const (
	herdSize = 1000
	tenth    = 100 * time.Millisecond
	settled  = 6 * time.Second // the longest pause is 5 s
)

func (h *herd) changed(c client.StateChange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch c.State {
	case client.Connecting:
		h.dials[time.Since(h.began).Truncate(tenth)]++
	case client.Connected:
		h.connected++
	}
}

// since forgets what was before.
func (h *herd) since() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began, h.dials, h.connected = time.Now(), make(map[time.Duration]int), 0
}

// between returns how many dials were begun, and how many in the worst tenth of a
// second.
func (h *herd) between(from, to time.Duration) (all, worst int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for at, n := range h.dials {
		if at >= from && at < to {
			all += n
			worst = max(worst, n)
		}
	}
	return all, worst
}

// A provider with a thousand clients that is killed and is back after a while is
// not run over: in between each of them dials a few times, further and further
// apart, and when it is back they come one after the other.
func TestAThousandClientsDoNotComeBackAtOnce(t *testing.T) {
	for _, away := range []time.Duration{2 * time.Second, 10 * time.Second} {
		if testing.Short() && away > 2*time.Second {
			continue
		}
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &herd{T: t, network: transport.NewMemNetwork()}
				h.since()
				comeBack(h, away)
			})
		})
	}
}

func comeBack(h *herd, away time.Duration) {
	var accepted atomic.Int32
	fixed := registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{Network: "mem", Addr: "a"})
	ln, err := h.network.Listen("a")
	if err != nil {
		h.Fatal(err)
	}
	s := newServer(h.T, server.Option{Mem: h.network}, new(echo.Echo))
	ended := make(chan error, 1)
	go func() { ended <- s.ServeListener(ln, nil) }()
	clients := make([]client.SGClient, herdSize)
	for i := range clients {
		clients[i], err = client.NewSGClient(client.SGOption{
			Option: client.Option{Mem: h.network, Heartbeat: true, HeartbeatInterval: time.Second, OnStateChange: h.changed}, Registry: fixed, AllowLocal: true,
		})
		if err != nil {
			h.Fatal(err)
		}
		if err := clients[i].Call(context.Background(), "Echo.Say", new(echo.Body), nil); err != nil {
			h.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for _, c := range clients {
		callers.Go(func() {
			for !isClosed(stop) {
				time.Sleep(rand.N(400 * time.Millisecond))
				_ = c.Call(context.Background(), "Echo.Say", new(echo.Body), nil) // nobody may be there
			}
		})
	}
	synctest.Wait()
	h.since()
	if err := s.Close(); err != nil {
		h.Error(err)
	}
	if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
		h.Error(err)
	}
	time.Sleep(away)
	leave := serveCounted(h.T, h.network, "a", server.Option{Mem: h.network}, &accepted)
	time.Sleep(settled)
	whileAway, worstAway := h.between(0, away)
	back, worst := h.between(away, away+settled)
	h.Logf("away for %v: %d dials in that time, at most %d in a tenth of a second; then %d, at most %d", away, whileAway, worstAway, back, worst)
	// The pauses are 100 ms, 200 ms ... 5 s, of which half is left to chance.
	if most := herdSize * (7 + int(away/(2500*time.Millisecond))); whileAway > most {
		h.Errorf("%d dials while nobody was there, want at most %d", whileAway, most)
	}
	if back > herdSize || int(accepted.Load()) != herdSize {
		h.Errorf("%d dials and %d connections when it was back, want one for each of %d clients", back, accepted.Load(), herdSize)
	}
	if worst > herdSize/4 {
		h.Errorf("%d of %d came in the same tenth of a second", worst, herdSize)
	}
	close(stop)
	callers.Wait()
	for _, c := range clients {
		if err := c.Close(); err != nil {
			h.Error(err)
		}
	}
	leave()
}

// A client whose providers are replaced by others, at other addresses, all at
// once, goes on without a failed call.
func TestAListThatChangesWhollyCostsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.BothWays(transport.MemPath{Latency: time.Millisecond}))
		r := memory.NewRegistry("")
		deploy := func(addrs ...string) (leave func()) {
			var all []*server.SGServer
			for _, addr := range addrs {
				s := newServer(t, server.Option{Mem: n, Registry: r}, new(echo.Echo))
				serve(t, s, "mem", addr)
				all = append(all, s)
			}
			return func() {
				var leaving sync.WaitGroup
				for _, s := range all {
					leaving.Go(func() {
						if err := s.Shutdown(context.Background()); err != nil {
							t.Error(err)
						}
					})
				}
				leaving.Wait()
			}
		}
		leave := deploy("a1", "a2", "a3")
		synctest.Wait()
		c := governed(t, r, client.SGOption{Option: client.Option{Mem: n}})
		stop := make(chan struct{})
		var callers sync.WaitGroup
		var calls atomic.Int64
		for range 20 {
			callers.Go(func() {
				for !isClosed(stop) {
					if err := c.Call(context.Background(), "Echo.Say", new(echo.Body), nil); err != nil {
						t.Errorf("%v (%v)", err, protocol.OutcomeOf(err))
					}
					calls.Add(1)
					time.Sleep(time.Millisecond)
				}
			})
		}
		for _, generation := range [][]string{{"b1", "b2", "b3"}, {"c1"}, {"d1", "d2", "d3", "d4"}} {
			time.Sleep(100 * time.Millisecond)
			next := deploy(generation...)
			leave()
			leave = next
		}
		time.Sleep(100 * time.Millisecond)
		close(stop)
		callers.Wait()
		if calls.Load() < 1000 {
			t.Errorf("%d calls are too few to tell anything", calls.Load())
		}
		if got := len(c.Providers()); got != 4 {
			t.Errorf("%d providers are known, want the 4 of the last generation", got)
		}
	})
}
