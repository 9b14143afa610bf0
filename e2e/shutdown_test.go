package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
)

// restartable is a provider that is replaced by a new one on the same address,
// as a deploy does. All of them share one echo.Echo, which so counts for the
// address.
type restartable struct {
	t        *testing.T
	network  string
	addr     string
	registry registry.Registry
	tls      *tls.Config
	echo     *echo.Echo

	server *server.SGServer
	ended  chan error
}

// startRestartable serves on an address of the kernel's choice.
func startRestartable(t *testing.T, r registry.Registry, network string, config *tls.Config, e *echo.Echo) *restartable {
	t.Helper()
	p := &restartable{t: t, network: network, addr: "127.0.0.1:0", registry: r, tls: config, echo: e}
	p.start()
	p.addr = p.server.Addr().String()
	return p
}

func (p *restartable) start() {
	p.t.Helper()
	p.server = newServer(p.t, server.Option{Registry: p.registry, TLSConfig: p.tls, ShutDownWait: time.Minute}, p.echo)
	p.ended = make(chan error, 1)
	go func() { p.ended <- p.server.Serve(p.network, p.addr, nil) }()
	<-p.server.Listening()
	if p.server.Addr() == nil {
		p.t.Fatal(<-p.ended)
	}
	for ok := false; !ok; ok, _ = p.server.Registered() {
		time.Sleep(time.Millisecond) // it registers in the background
	}
}

// stop drains the server; nothing may be cut off.
func (p *restartable) stop() {
	p.t.Helper()
	if err := p.server.Shutdown(context.Background()); err != nil {
		p.t.Errorf("Shutdown: %v", err)
	}
	if err := <-p.ended; !errors.Is(err, server.ErrServerClosed) {
		p.t.Errorf("Serve returned %v", err)
	}
}

// Two providers are restarted one after the other, again and again, under 100
// callers: nobody notices.
func TestRestartsUnderLoadCostNoCall(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, network string, serverTLS, clientTLS *tls.Config) {
		rollingRestarts(t, network, serverTLS, clientTLS, func(c client.SGClient) func(int64) {
			return func(id int64) {
				res, err := client.Invoke[echo.Body](context.Background(), c, "Echo.Say", &echo.Body{ID: id})
				if err != nil || res.ID != id {
					t.Errorf("call %d: %v, %v (%v)", id, res, err, protocol.OutcomeOf(err))
				}
			}
		}, nil)
	})
}

// The same for oneways: each for which Notify returned nil ran, and ran once.
func TestRestartsUnderLoadLoseNoOneway(t *testing.T) {
	forEachNetwork(t, func(t *testing.T, network string, serverTLS, clientTLS *tls.Config) {
		rollingRestarts(t, network, serverTLS, clientTLS, func(c client.SGClient) func(int64) {
			return func(id int64) {
				if err := c.Notify(context.Background(), "Echo.Note", &echo.Body{ID: id}); err != nil {
					t.Errorf("oneway %d: %v (%v)", id, err, protocol.OutcomeOf(err))
				}
				// A oneway beyond what a server has room for is dropped, and counted:
				// an answered call after each keeps the callers below that.
				if err := c.Call(context.Background(), "Echo.Say", new(echo.Body), nil); err != nil {
					t.Errorf("call after oneway %d: %v (%v)", id, err, protocol.OutcomeOf(err))
				}
			}
		}, func(e *echo.Echo, sent int64) {
			times := make(map[int]int)
			for id := range sent {
				times[e.Ran(id)]++
			}
			if len(times) != 1 || times[1] != int(sent) {
				t.Errorf("how often a oneway ran, and how many ran so: %v", times)
			}
		})
	})
}

func forEachNetwork(t *testing.T, f func(t *testing.T, network string, server, client *tls.Config)) {
	t.Run("tcp", func(t *testing.T) { f(t, "tcp", nil, nil) })
	t.Run("tls", func(t *testing.T) {
		server, client := testutil.Certificates(t)
		f(t, "tls", server, client)
	})
}

// rollingRestarts restarts two providers in turn while 100 callers do what each
// makes, with a new number every time; then check is told how many there were.
func rollingRestarts(t *testing.T, network string, serverTLS, clientTLS *tls.Config,
	each func(client.SGClient) func(id int64), check func(e *echo.Echo, sent int64)) {
	r := memory.NewRegistry("")
	var e echo.Echo
	providers := []*restartable{
		startRestartable(t, r, network, serverTLS, &e),
		startRestartable(t, r, network, serverTLS, &e),
	}
	// The machine may be slow and the callers are many: time is not what this
	// is about.
	c := governed(t, r, client.SGOption{Option: client.Option{TLSConfig: clientTLS, RequestTimeout: time.Minute}})
	one := each(c)
	var sent atomic.Int64
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 100 {
		callers.Go(func() {
			for !isClosed(stop) && !t.Failed() {
				one(sent.Add(1) - 1)
			}
		})
	}
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		for _, p := range providers {
			before := sent.Load()
			p.stop()
			p.start()
			// The next one leaves when the new one has its share of the calls.
			for !(connected(c, p.addr) && sent.Load() >= before+500) && !t.Failed() {
				time.Sleep(time.Millisecond)
			}
		}
	}
	close(stop)
	callers.Wait()
	if err := c.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown of the client: %v", err)
	}
	for _, p := range providers {
		p.stop()
	}
	if check != nil {
		check(&e, sent.Load())
	}
	t.Logf("%d sent, %d restarts", sent.Load(), 2*rounds)
}

// connected reports whether c calls the provider at addr.
func connected(c client.SGClient, addr string) bool {
	return slices.ContainsFunc(c.Providers(), func(p client.ProviderStatus) bool {
		return p.Provider.Addr == addr && p.State == client.Connected && p.Excluded == nil
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
