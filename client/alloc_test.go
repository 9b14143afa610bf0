package client_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// respondWithoutAllocating answers every request on ln with its own body. After
// its first frames it allocates nothing, so that AllocsPerRun, which counts the
// whole process, counts the client alone.
func respondWithoutAllocating(t *testing.T, ln net.Listener) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_ = respond(conn) // ends with the connection
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
}

func respond(conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 64<<10)
	prefix := make([]byte, protocol.PrefixLen)
	frame, out := make([]byte, 0, 64<<10), make([]byte, 0, 64<<10)
	names := map[string]string{"Echo": "Echo", "Say": "Say"}
	intern := func(b []byte) string { return names[string(b)] }
	var h, answer protocol.Header
	for {
		if _, err := io.ReadFull(in, prefix); err != nil {
			return err
		}
		header := int(binary.BigEndian.Uint32(prefix[7:]))
		frame = frame[:int(binary.BigEndian.Uint32(prefix[3:]))-4]
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		if err := protocol.ParseHeader(frame[:header], &h, intern); err != nil {
			return err
		}
		if h.MessageType != protocol.TypeRequest {
			continue
		}
		answer = protocol.Header{Seq: h.Seq, MessageType: protocol.TypeResponse, SerializeType: h.SerializeType}
		out = protocol.AppendFrame(out[:0], &answer, frame[header:])
		if _, err := conn.Write(out); err != nil {
			return err
		}
	}
}

func TestAllocationsOfACall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	respondWithoutAllocating(t, ln)
	addr := ln.Addr().String()
	plain := client.Option{SerializeType: protocol.SerializeTypeRaw}
	unlimited := plain
	unlimited.RequestTimeout = -1
	soon, cancel := context.WithTimeout(context.Background(), 500*time.Second)
	defer cancel()
	patient := plain
	patient.RequestTimeout = time.Hour
	near, cancelNear := context.WithTimeout(context.Background(), 400*time.Second)
	defer cancelNear()
	for _, test := range []struct {
		name string
		c    client.RPCClient
		ctx  context.Context
		most float64
	}{
		{"no limit", rpcTo(t, addr, unlimited), context.Background(), 0},
		{"RequestTimeout", rpcTo(t, addr, plain), context.Background(), 0},
		{"RequestTimeout within the caller's deadline", rpcTo(t, addr, plain), soon, 0},
		{"the caller's deadline within RequestTimeout", rpcTo(t, addr, patient), near, 0},
		{"through an SGClient", sgTo(t, addr, plain, nil), context.Background(), 1},
		{"FailSafe", sgTo(t, addr, plain, func(op *client.SGOption) { op.FailMode = client.FailSafe }), context.Background(), 1},
		{"FailOver", sgTo(t, addr, plain, func(op *client.SGOption) { op.FailMode = client.FailOver }), context.Background(), 1},
		{"FailOver of a method that is idempotent", sgTo(t, addr, plain, func(op *client.SGOption) { op.FailMode, op.Idempotent = client.FailOver, []string{"Echo.*"} }), context.Background(), 2},
		{"FailRetry without a part of the time for each attempt", sgTo(t, addr, plain, func(op *client.SGOption) {
			op.FailMode, op.Idempotent, op.AttemptTimeout = client.FailRetry, []string{"Echo.*"}, -1
		}), context.Background(), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := allocations(t, test.ctx, test.c)
			t.Logf("%v allocations", got)
			if got > test.most {
				t.Errorf("%v allocations per call, want at most %v", got, test.most)
			}
		})
	}
}

// allocations returns how many a call makes.
func allocations(t *testing.T, ctx context.Context, c client.Caller) float64 {
	t.Helper()
	req := make([]byte, 16)
	resp := make([]byte, 0, 16)
	var failed error
	call := func() {
		if err := c.Call(ctx, "Echo.Say", &req, &resp); err != nil {
			failed = err
		}
	}
	for range 100 { // all providers are connected then
		call()
	}
	got := testing.AllocsPerRun(200, call)
	if failed != nil {
		t.Fatal(failed)
	}
	return got
}

// Heartbeats, breaker, tags, P2C and slow start cost no allocation that a bare
// client which sends as much metadata does not make. (Those are the provider's,
// which is in this process.) RequestTimeout is off: it costs an SGClient the context
// that its wrappers could see.
func TestGovernanceAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	respondWithoutAllocating(t, ln)
	addr := ln.Addr().String()
	plain := client.Option{SerializeType: protocol.SerializeTypeRaw, RequestTimeout: -1}
	tagged := plain
	tagged.MetaData = map[string]string{"idc": "lf"}
	bare := allocations(t, context.Background(), rpcTo(t, addr, tagged))
	governed := allocations(t, context.Background(), sgTo(t, addr, plain, governs))
	t.Logf("%v allocations of a bare client, %v of a governed one", bare, governed)
	if governed > bare {
		t.Errorf("a governed call makes %v allocations, a bare one %v", governed, bare)
	}
}

func rpcTo(t testing.TB, addr string, op client.Option) client.RPCClient {
	t.Helper()
	c, err := client.NewRPCClient("tcp", addr, &op)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// governs has everything on that watches and chooses providers.
func governs(op *client.SGOption) {
	op.Heartbeat = true
	op.CircuitBreakerThreshold = 20
	op.Tagged, op.Tags = true, map[string]string{"idc": "lf"}
	op.Selector = selector.NewP2CSelector()
	op.SlowStart = time.Minute
}

func sgTo(t testing.TB, addr string, op client.Option, change func(*client.SGOption)) client.RPCClient {
	t.Helper()
	var providers []registry.Provider
	for _, host := range []string{"127.0.0.1", "localhost"} { // two, so that there is a choice
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		providers = append(providers, registry.Provider{Network: "tcp", Addr: net.JoinHostPort(host, port), Tags: map[string]string{"idc": "lf"}, Started: time.Now()})
	}
	sg := client.SGOption{Option: op, Registry: registry.NewPeer2PeerRegistry().WithProvider(providers...)}
	if change != nil {
		change(&sg)
	}
	c, err := client.NewSGClient(sg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
