package e2e

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// scale is how much there is beside the call that is measured.
type scale struct{ services, connections int }

func (x scale) String() string {
	return fmt.Sprintf("%d services, %d connections", x.services, x.connections)
}

var scales = []scale{{1, 1}, {1000, 1}, {1, 300}}

// client returns a client of a server of that scale, after its first call.
func (x scale) client(t testing.TB) client.Caller {
	t.Helper()
	n := transport.NewMemNetwork()
	s := newServer(t, server.Option{Mem: n}, new(echo.Echo))
	for i := range x.services - 1 {
		if err := s.RegisterName(fmt.Sprintf("Other%d", i), new(echo.Echo)); err != nil {
			t.Fatal(err)
		}
	}
	addr := serve(t, s, "mem", "a")
	var c client.RPCClient
	for range x.connections {
		c = dial(t, "mem", addr, client.Option{Mem: n})
		say(t, c)
	}
	return c
}

// The cost of a call does not grow with what else a server has: registered
// services or connections. Allocations are counted, on both sides together;
// BenchmarkScale shows the time.
func TestCostOfACallDoesNotGrow(t *testing.T) {
	var least float64
	for i, x := range scales {
		c := x.client(t)
		req, res := &echo.Body{ID: 1}, new(echo.Body)
		runtime.GC() // twice: what other tests left in pools would count for the first that is measured
		runtime.GC()
		got := testing.AllocsPerRun(500, func() {
			if err := c.Call(t.Context(), "Echo.Say", req, res); err != nil {
				t.Fatal(err)
			}
		})
		if i == 0 {
			least = got
		}
		if got > least+1 {
			t.Errorf("%v: %v allocations for a call; with nothing beside it %v", x, got, least)
		}
	}
}

// BenchmarkScale is for reading: its rows should be alike.
func BenchmarkScale(b *testing.B) {
	for _, x := range scales {
		b.Run(x.String(), func(b *testing.B) {
			c := x.client(b)
			req, res := &echo.Body{ID: 1}, new(echo.Body)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Call(b.Context(), "Echo.Say", req, res); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
