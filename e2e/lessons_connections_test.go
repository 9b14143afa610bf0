package e2e

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Each test here is named by an accident that users of RPC frameworks reported:
// with connections, deploys and reconnects.

// countedListener counts what it accepts.
type countedListener struct {
	net.Listener
	accepted *atomic.Int32
}

func (ln countedListener) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err == nil {
		ln.accepted.Add(1)
	}
	return conn, err
}

// serveCounted serves on a mem address until the function that it returns is
// called, which drains.
func serveCounted(t *testing.T, n *transport.MemNetwork, addr string, o server.Option, accepted *atomic.Int32) (leave func()) {
	t.Helper()
	ln, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, o, new(echo.Echo))
	ended := make(chan error, 1)
	go func() { ended <- s.ServeListener(countedListener{ln, accepted}, nil) }()
	<-s.Listening()
	return func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	}
}

// rpcx #696, kitex #909: what runs when the server leaves is answered, and that
// on every transport.
func TestCallInFlightSurvivesShutdownOnEveryTransport(t *testing.T) {
	serverTLS, clientTLS := testutil.Certificates(t)
	n := transport.NewMemNetwork()
	for _, p := range []place{
		{network: "tcp", addr: "127.0.0.1:0"},
		{network: "tls", addr: "127.0.0.1:0", server: server.Option{TLSConfig: serverTLS}, client: client.Option{TLSConfig: clientTLS}},
		{network: "unix", addr: filepath.Join(t.TempDir(), "s")},
		{network: "mem", addr: "a", server: server.Option{Mem: n}, client: client.Option{Mem: n}},
	} {
		t.Run(p.network, func(t *testing.T) {
			began, finish := make(chan struct{}), make(chan struct{})
			s := newServer(t, p.server)
			err := server.Handle(s, "Echo.Wait", func(_ context.Context, req *echo.Body) (*echo.Body, error) {
				close(began)
				<-finish
				return req, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			p.client.RequestTimeout = time.Minute
			c := dial(t, p.network, serve(t, s, p.network, p.addr), p.client)
			call := c.Go(t.Context(), "Echo.Wait", &echo.Body{ID: 3}, new(echo.Body), nil)
			<-began
			shut := make(chan error, 1)
			go func() { shut <- s.Shutdown(context.Background()) }()
			awaitRefusal(t, c)
			close(finish)
			if <-call.Done; call.Error != nil || call.Reply.(*echo.Body).ID != 3 {
				t.Errorf("the call in flight: %v, %v", call.Reply, call.Error)
			}
			if err := <-shut; err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
}

// awaitRefusal returns when calls are refused, with certainty that they did not
// run.
func awaitRefusal(t *testing.T, c client.Caller) {
	t.Helper()
	for {
		err := c.Call(t.Context(), "Echo.Absent", new(echo.Body), nil)
		if protocol.CodeOf(err) == protocol.Unavailable {
			if o := protocol.OutcomeOf(err); o != protocol.NotSent && o != protocol.Refused {
				t.Errorf("%v: %v", o, err)
			}
			return
		}
	}
}

// kitex #1681: a connection that was lost while nothing happened on it costs no
// call.
func TestIdleConnectionThatWasLostCostsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		serve(t, newServer(t, server.Option{Mem: n}, new(echo.Echo)), "mem", "a")
		c := dial(t, "mem", "a", client.Option{Mem: n})
		for range 5 {
			say(t, c)
			if n.Cut("a") != 1 {
				t.Error("there was not one connection")
			}
			synctest.Wait()
		}
	})
}

// dubbo-go #1977: with a fixed list nobody says that a provider leaves but the
// provider itself, and that is enough.
func TestDrainIsNoticedWithoutARegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		fixed := registry.NewPeer2PeerRegistry()
		var accepted [2]atomic.Int32
		var leave [2]func()
		for i, addr := range []string{"a", "b"} {
			fixed = fixed.WithProvider(registry.Provider{Network: "mem", Addr: addr})
			leave[i] = serveCounted(t, n, addr, server.Option{Mem: n}, &accepted[i])
		}
		c, err := client.NewSGClient(client.SGOption{Option: client.Option{Mem: n}, Registry: fixed, AllowLocal: true})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			say(t, c)
		}
		leave[0]()
		for range 200 {
			say(t, c)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		leave[1]()
	})
}

// rpcx #133, #411: callers that find no connection share the one that is made,
// and a server that is away is not dialled by each of them.
func TestConnectionsDoNotExplodeWhileAServerRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.BothWays(transport.MemPath{Latency: time.Millisecond}))
		var accepted atomic.Int32
		leave := serveCounted(t, n, "a", server.Option{Mem: n}, &accepted)
		c := dial(t, "mem", "a", client.Option{Mem: n})
		stop := make(chan struct{})
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				for !isClosed(stop) {
					_ = c.Call(context.Background(), "Echo.Say", new(echo.Body), nil) // many fail: nobody is there
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		const restarts = 5
		for range restarts {
			time.Sleep(6 * time.Second)
			leave()
			time.Sleep(6 * time.Second)
			leave = serveCounted(t, n, "a", server.Option{Mem: n}, &accepted)
		}
		time.Sleep(6 * time.Second)
		close(stop)
		callers.Wait()
		say(t, c)
		// Each server is there for longer than the longest pause. Beside its one
		// connection there may be a few that are told to go while it drains.
		if got := accepted.Load(); got < restarts+1 || got > 3*(restarts+1) {
			t.Errorf("%d connections for %d servers, one after the other", got, restarts+1)
		}
		leave()
	})
}

// dubbo-getty #116: a provider at its limit is asked again at a measured pace.
func TestProviderAtItsLimitIsNotDialledInAHotLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		var accepted atomic.Int32
		leave := serveCounted(t, n, "a", server.Option{Mem: n, MaxConnections: 1}, &accepted)
		first := dial(t, "mem", "a", client.Option{Mem: n})
		say(t, first)
		second := dial(t, "mem", "a", client.Option{Mem: n})
		for range 6000 { // a minute of calls
			err := second.Call(t.Context(), "Echo.Say", new(echo.Body), nil)
			if o := protocol.OutcomeOf(err); protocol.CodeOf(err) != protocol.Unavailable || o != protocol.NotSent && o != protocol.Refused {
				t.Fatalf("%v (%v)", err, o)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got := accepted.Load() - 1; got > 40 {
			t.Errorf("dialled %d times in a minute", got)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(6 * time.Second) // the longest pause is 5 s
		say(t, second)
		if err := second.Close(); err != nil {
			t.Error(err)
		}
		leave()
	})
}

// shakenfist #3511: however long a provider was away, it is called again as soon
// as the registry says that it is back.
func TestOutageEndsWhenTheRegistrySaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		r := memory.NewRegistry("")
		list := func() {
			p := registry.Provider{Network: "mem", Addr: "a", Started: time.Now()}
			if err := r.Register(t.Context(), registry.RegisterOption{}, p); err != nil {
				t.Fatal(err)
			}
		}
		list()
		c := governed(t, r, client.SGOption{Option: client.Option{Mem: n}})
		for range 600 { // ten minutes
			wantError(t, c.Call(t.Context(), "Echo.Say", new(echo.Body), nil), protocol.Unavailable, protocol.NotSent)
			time.Sleep(time.Second)
		}
		serve(t, newServer(t, server.Option{Mem: n}, new(echo.Echo)), "mem", "a")
		list()
		synctest.Wait()
		say(t, c)
	})
}

// grpc-go #7542: a peer that is silently gone is noticed by a call that has no
// deadline of its own.
func TestDeadPeerIsNoticedByACallWithoutDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		serve(t, newServer(t, server.Option{Mem: n}, new(echo.Echo)), "mem", "a")
		c := dial(t, "mem", "a", client.Option{Mem: n, RequestTimeout: -1, Heartbeat: true, HeartbeatInterval: time.Second, HeartbeatDegradeThreshold: 3})
		say(t, c)
		n.SetFaults(transport.BothWays(transport.MemPath{Blackhole: true}))
		begun := time.Now()
		err := c.Call(context.Background(), "Echo.Hang", new(echo.Body), nil)
		wantError(t, err, protocol.Unavailable, protocol.MaybeRun)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("noticed after %v", took)
		}
		n.SetFaults(transport.MemFaults{})
	})
}

// kratos resolver: an application scaled to zero fails its calls at once and says
// so, and is called again when it has a provider.
func TestScaledToZeroAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		r := memory.NewRegistry("")
		o := server.Option{Mem: n, Registry: r}
		c := governed(t, r, client.SGOption{Option: client.Option{Mem: n}})
		for range 3 {
			s := newServer(t, o, new(echo.Echo))
			serve(t, s, "mem", "a")
			synctest.Wait()
			say(t, c)
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			begun := time.Now()
			wantError(t, c.Call(t.Context(), "Echo.Say", new(echo.Body), nil), protocol.Unavailable, protocol.NotSent)
			if took := time.Since(begun); took != 0 {
				t.Errorf("nobody was there, and the call took %v", took)
			}
		}
	})
}

// rpcx StreamService: clients that connect and say nothing hold nobody up.
func TestSlowHandshakeBlocksNobody(t *testing.T) {
	serverTLS, clientTLS := testutil.Certificates(t)
	s := newServer(t, server.Option{TLSConfig: serverTLS}, new(echo.Echo))
	addr := serve(t, s, "tls", "127.0.0.1:0")
	for range 50 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	say(t, dial(t, "tls", addr, client.Option{TLSConfig: clientTLS, RequestTimeout: 8 * time.Second})) // less than the handshakes may take
}

// A client that is closed ends what it still does for a provider that has left
// already.
func TestCloseEndsWhatAnOrderlyEndLeftRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := memPair(t, server.Option{}, client.Option{})
		began := make(chan struct{})
		err := client.Handle(c, "Client.Hang", func(ctx context.Context, _ *echo.Body) (*echo.Body, error) {
			close(began)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		err = server.Handle(s, "Echo.Push", func(ctx context.Context, req *echo.Body) (*echo.Body, error) {
			return req, server.PeerFrom(ctx).Notify(context.WithoutCancel(ctx), "Client.Hang", req)
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if err := c.Call(ctx, "Echo.Push", new(echo.Body), nil); err != nil {
			t.Fatal(err)
		}
		<-began
		shut := make(chan error, 1)
		go func() { shut <- s.Shutdown(ctx) }()
		synctest.Wait()
		begun := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("Close took %v", took)
		}
		if err := <-shut; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}
