package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/transport"
)

// What a connection carried stays counted when it has ended.
func TestStatsOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		p := listenMem(t, n, "a")
		r := memory.NewRegistry("")
		list(t, r, "a", nil)
		c := newSG(t, n, r, nil)
		if got := c.Stats(); got.Connections != 0 || got.BytesRead != 0 || got.BytesWritten != 0 {
			t.Errorf("before the first call: %+v", got)
		}
		say(t, c)
		synctest.Wait()
		one := c.Stats()
		if one.Connections != 1 || one.BytesRead == 0 || one.BytesWritten == 0 {
			t.Errorf("after one call: %+v", one)
		}
		_ = p.session(0).Close()
		synctest.Wait()
		if got := c.Stats(); got.Connections != 0 || got.BytesRead < one.BytesRead || got.BytesWritten < one.BytesWritten {
			t.Errorf("after the connection was lost: %+v, before: %+v", got, one)
		}
		time.Sleep(time.Minute) // past any pause between dials
		say(t, c)
		synctest.Wait()
		if got := c.Stats(); got.Connections != 1 || got.BytesRead <= one.BytesRead || got.BytesWritten <= one.BytesWritten {
			t.Errorf("after another call: %+v, before: %+v", got, one)
		}
	})
}
