package e2e

import (
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/e2e/internal/process"
	"github.com/sinew-rpc/sinew/protocol"
)

// A server process that is killed takes the calls in flight with it: each says
// at once that it may have run.
func TestKilledServerEndsItsCallsAtOnce(t *testing.T) {
	program := process.Build(t, "./internal/echoserver")
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "s")
			}
			server := program.Start(t, "-network", network, "-addr", addr)
			c := dial(t, network, server.Addr, client.Option{RequestTimeout: time.Minute})
			witness := resetOf(t, network, server.Addr)
			const calls = 50
			done := make(chan *client.Call, calls)
			for range calls {
				c.Go(t.Context(), "Echo.Hang", new(echo.Body), new(echo.Body), done)
			}
			awaitRan(t, c, calls)

			bare := watchTimers()
			server.Kill()
			reset := <-witness
			var late time.Duration
			for range calls {
				call := <-done
				late = max(late, time.Since(reset))
				wantError(t, call.Error, protocol.Unavailable, protocol.MaybeRun)
			}
			if most := bare() + 100*time.Millisecond; late > most {
				t.Errorf("a call returned %v after the reset, want at most %v", late, most)
			}
			server.Wait() // its listener may be closed later than its connections
			err := c.Call(t.Context(), "Echo.Say", new(echo.Body), nil)
			wantError(t, err, protocol.Unavailable, protocol.NotSent)
		})
	}
}

// watchTimers begins to set timers, one after the other. The function that it returns
// ends that, and tells how late the latest fired: what the machine is to blame for.
func watchTimers() (latest func() time.Duration) {
	const each = time.Millisecond
	stop, worst := make(chan struct{}), make(chan time.Duration)
	go func() {
		var late time.Duration
		for {
			due := time.Now().Add(each)
			timer := time.NewTimer(each)
			select {
			case <-timer.C:
				late = max(late, time.Since(due))
			case <-stop:
				timer.Stop()
				worst <- max(late, time.Since(due))
				return
			}
		}
	}()
	return func() time.Duration {
		close(stop)
		return <-worst
	}
}

// awaitRan returns when Hang or Note ran n times with ID 0.
func awaitRan(t *testing.T, c client.Caller, n int64) {
	t.Helper()
	for {
		res, err := client.Invoke[echo.Body](t.Context(), c, "Echo.Count", new(echo.Body))
		if err != nil {
			t.Fatal(err)
		}
		if res.ID == n {
			return
		}
	}
}

// resetOf connects and tells when that connection ends.
func resetOf(t *testing.T, network, addr string) <-chan time.Time {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	at := make(chan time.Time, 1)
	go func() {
		defer conn.Close()
		_, _ = io.Copy(io.Discard, conn) // its end is what matters, not its error
		at <- time.Now()
	}()
	return at
}

func TestDeadAddressIsNotSent(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	c := dial(t, "tcp", dead, client.Option{})
	for range 20 { // the first is refused by the kernel, others find a pause
		err := c.Call(t.Context(), "Echo.Say", new(echo.Body), nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent)
	}
}
