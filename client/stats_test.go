package client_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/transport"
)

func TestStatsOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		r := memory.NewRegistry("")
		p := listenMem(t, n, "a")
		list(t, r, "a", nil)
		c := newSG(t, n, r, nil)
		for range 5 {
			say(t, c)
		}
		hang := c.Go(context.Background(), "Echo.Hang", &text{}, nil, nil)
		synctest.Wait()
		if err := c.Call(context.Background(), "No.Such", &text{}, nil); err == nil {
			t.Fatal("no error")
		}
		want := client.Stats{Calls: 7, InFlight: 1, Attempts: 7, BudgetLeft: -1}
		want.Failures[protocol.Unimplemented] = 1
		if got := ofCalls(c.Stats()); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		p.stop()
		<-hang.Done
		want.InFlight = 0
		want.Failures[protocol.Unavailable] = 1
		if got := ofCalls(c.Stats()); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// ofCalls leaves out what the connections carried.
func ofCalls(s client.Stats) client.Stats {
	s.Connections, s.BytesRead, s.BytesWritten = 0, 0, 0
	return s
}
