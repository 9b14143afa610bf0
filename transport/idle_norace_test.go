//go:build !race && linux

package transport

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestIdleSessionsKeepSmallStacks counts what the readers of sessions over TCP have of
// stack, after a large call on each: 2 KiB, but for few, and twice as much as soon as a
// frame on their way is too large.
func TestIdleSessionsKeepSmallStacks(t *testing.T) {
	const sessions = 400
	stack := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.StackInuse)
	}
	clientCfg, serverCfg := newConfig(nil), newConfig(&service{})
	defer clientCfg.Workers.Close()
	defer serverCfg.Workers.Close()
	before := stack()
	for range sessions / 2 {
		a, b := pairOf(t, "tcp", "127.0.0.1:0")
		server, client := start(t, b, serverCfg), start(t, a, clientCfg)
		defer server.Close()
		defer client.Close()
		if _, err := ask(client, "Echo", strings.Repeat("x", 64<<10), 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if each := (stack() - before) / sessions; each > 3<<10 {
		t.Errorf("an idle session has %d bytes of stack", each)
	} else {
		t.Logf("%d bytes of stack for each session", each)
	}
}
