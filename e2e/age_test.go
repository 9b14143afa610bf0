package e2e

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Connections come of age under callers that never pause, and no call fails: of
// clients of one provider, which has no other to go to, and of governed ones.
func TestConnectionsComeOfAgeUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			age    = 2 * time.Second
			length = 20 * time.Second
		)
		n, r := transport.NewMemNetwork(), memory.NewRegistry("old")
		n.SetFaults(transport.BothWays(transport.MemPath{Latency: 10 * time.Millisecond}))
		servers := make([]*server.SGServer, 2)
		for i, addr := range []string{"a", "b"} {
			servers[i] = newServer(t, server.Option{Mem: n, Registry: r, MaxConnectionAge: age}, &echo.Echo{})
			serve(t, servers[i], "mem", addr)
		}
		o := client.Option{Mem: n}
		callers := []client.Caller{
			dial(t, "mem", "a", o), dial(t, "mem", "a", o), dial(t, "mem", "b", o),
			governed(t, r, client.SGOption{Option: o}), governed(t, r, client.SGOption{Option: o}),
		}
		var calls atomic.Int64
		var wg sync.WaitGroup
		end := time.Now().Add(length)
		for _, c := range callers {
			for id := range int64(4) {
				wg.Go(func() {
					for time.Now().Before(end) {
						res, err := client.Invoke[echo.Body](t.Context(), c, "Echo.Say", &echo.Body{ID: id})
						if err != nil || res.ID != id {
							t.Errorf("a call failed: %v", err)
							return
						}
						calls.Add(1)
					}
				})
			}
		}
		wg.Wait()
		var connections uint64
		for _, s := range servers {
			connections += s.Stats().ConnectionsAccepted
		}
		t.Logf("%d calls on %d connections, none failed", calls.Load(), connections)
		// Three of one provider, two of both: seven at a time.
		if atLeast := uint64(7 * (length / (age + age/10))); connections < atLeast {
			t.Errorf("%d connections, want %d at least: they did not come of age", connections, atLeast)
		}
	})
}
