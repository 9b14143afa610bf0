package load

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/testutil"
)

// testRow echoes bytes: eight of identifier, then the payload.
var testRow = Row{
	Name: "test",
	Serve: func(ln net.Listener) error {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer conn.Close()
				// The client closes the connection in the midst of this.
				_, _ = io.Copy(conn, conn)
			}()
		}
	},
	Dial: func(o DialOptions) (Client, error) {
		conn, err := net.Dial("tcp4", o.Addr)
		if err != nil {
			return nil, err
		}
		return Shared(func(_ context.Context, id int64, body []byte) (int64, []byte, error) {
			reply := make([]byte, len(body))
			if _, err := conn.Write(body); err != nil {
				return 0, nil, err
			}
			_, err := io.ReadFull(conn, reply)
			return id, reply, err
		}, conn.Close), nil
	},
}

// brokenRow ends before it has served anything.
var brokenRow = Row{
	Name:  "broken",
	Serve: func(net.Listener) error { return errors.New("broken on purpose") },
	Dial:  testRow.Dial,
}

// forwardingRow passes bytes on to testRow's server, by a connection for each.
var forwardingRow = Row{
	Name:    "forwarding",
	Dial:    testRow.Dial,
	Provide: testRow.Serve,
	Forward: func(ln net.Listener, addr string) error {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return err
			}
			to, err := net.Dial("tcp4", addr)
			if err != nil {
				return err
			}
			// Both end when the client closes its connection.
			go func() { defer to.Close(); _, _ = io.Copy(to, conn) }()
			go func() { defer conn.Close(); _, _ = io.Copy(conn, to) }()
		}
	},
}

// TestMain lets the test binary be its own server, as every program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == commandServer || os.Args[1] == commandProvider) {
		os.Exit(Main(testRow, brokenRow, forwardingRow))
	}
	testutil.Main(m)
}

func TestMeasureRunsAServerOfItsOwn(t *testing.T) {
	const size = 1024
	res, err := measure(testRow, Run{Callers: 1, Size: size, Warmup: 10 * time.Millisecond, For: 100 * time.Millisecond, Timeout: TimeoutNone})
	if err != nil {
		t.Fatal(err)
	}
	if res.Calls == 0 || res.Errors != 0 || res.PerSecond <= 0 {
		t.Errorf("%d calls, %d errors, %f a second", res.Calls, res.Errors, res.PerSecond)
	}
	if res.Connections != 1 {
		t.Errorf("%d connections, want 1", res.Connections)
	}
	if res.P50 <= 0 || res.P50 > res.P99 || res.P99 > res.P999 || res.P999 > res.Max {
		t.Errorf("quantiles are not in order: %v %v %v %v", res.P50, res.P99, res.P999, res.Max)
	}
	if res.Client.AllocBytes < size {
		t.Errorf("the client allocates %f bytes a call, and its reply alone has %d", res.Client.AllocBytes, size)
	}
	if res.Client.CPU <= 0 || res.Server.CPU <= 0 || res.ServerPeakRSS == 0 {
		t.Errorf("cost is missing: client %v, server %v, peak %d", res.Client.CPU, res.Server.CPU, res.ServerPeakRSS)
	}
}

func TestMeasureKnowsWhatStandsBehindAServer(t *testing.T) {
	run := Run{Callers: 1, Size: 16, Warmup: 10 * time.Millisecond, For: 100 * time.Millisecond, Timeout: TimeoutNone}
	res, err := measure(forwardingRow, run)
	if err != nil {
		t.Fatal(err)
	}
	if res.Calls == 0 || res.Errors != 0 || res.Server.CPU <= 0 || res.Behind.CPU <= 0 {
		t.Errorf("%d calls, %d errors, server %v, behind %v", res.Calls, res.Errors, res.Server.CPU, res.Behind.CPU)
	}
	if !forwardingRow.describe().Forwards || testRow.describe().Forwards {
		t.Error("a row does not say whether it forwards")
	}
	if res, err = measure(testRow, run); err != nil || res.Behind != (Cost{}) {
		t.Errorf("behind a row that forwards nothing: %+v, %v", res, err)
	}
}

func TestOnlyARowThatForwardsHasAProvider(t *testing.T) {
	if err := provide(testRow, strings.NewReader(""), io.Discard); err == nil {
		t.Error("a row without one provided")
	}
}

func TestMeasureReportsAServerThatFails(t *testing.T) {
	if _, err := measure(brokenRow, Run{Callers: 1, Size: 1, Warmup: time.Millisecond, For: time.Millisecond, Timeout: TimeoutNone}); err == nil {
		t.Error("a server that does not serve was measured")
	}
}

func TestMeasureIdleCountsConnections(t *testing.T) {
	const n = 20
	idle, err := measureIdle(testRow, n, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	if idle.Connections != n {
		t.Errorf("%d connections, want %d", idle.Connections, n)
	}
	if idle.Goroutines != 1 {
		t.Errorf("%f goroutines a connection, want 1", idle.Goroutines)
	}
}

func TestStatusBytes(t *testing.T) {
	const status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 12 kB\n"
	for name, want := range map[string]uint64{"VmHWM": 2 << 20, "VmRSS": 12 << 10, "VmSwap": 0} {
		if got := statusBytes(status, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}
