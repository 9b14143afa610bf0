package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// coordinator starts a server at "a" that believes every identity.
func coordinator(t *testing.T, n *transport.MemNetwork, op server.Option) *server.SGServer {
	t.Helper()
	op.Mem = n
	op.Identify = func(_ context.Context, _ *protocol.Header, claimed []string) ([]string, error) { return claimed, nil }
	s, err := server.NewSGServer(&op)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Handle(s, "Echo.Say", func(_ context.Context, req *text) (*text, error) { return req, nil }); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve("mem", "a", nil) }()
	<-s.Listening()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Who waits to be called makes no calls that would dial.
func TestAQuietClientIsThereToBeCalledBack(t *testing.T) {
	bare := func(op client.Option) (client.RPCClient, error) {
		return client.NewRPCClient("mem", "a", &op)
	}
	governed := func(op client.Option) (client.RPCClient, error) {
		sg := client.DefaultSGOption
		sg.Option, sg.Registry = op, registry.NewPeer2PeerRegistry().WithProvider(at("a"))
		return client.NewSGClient(sg)
	}
	restart := func(t *testing.T, n *transport.MemNetwork, end func() error) *server.SGServer {
		if err := end(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // the pauses are as long as they get
		return coordinator(t, n, server.Option{})
	}
	for _, kind := range []struct {
		name string
		make func(op client.Option) (client.RPCClient, error)
	}{{"RPCClient", bare}, {"SGClient", governed}} {
		for _, test := range []struct {
			name string
			age  time.Duration
			end  func(t *testing.T, n *transport.MemNetwork, s *server.SGServer) *server.SGServer // who serves then
		}{
			{"its connection became old", 7 * time.Second, func(_ *testing.T, _ *transport.MemNetwork, s *server.SGServer) *server.SGServer { return s }},
			{"its connection was lost", 0, func(_ *testing.T, n *transport.MemNetwork, s *server.SGServer) *server.SGServer {
				n.CutAll()
				return s
			}},
			{"the server was restarted", 0, func(t *testing.T, n *transport.MemNetwork, s *server.SGServer) *server.SGServer {
				return restart(t, n, func() error { return s.Shutdown(context.Background()) })
			}},
			{"the server died, and was started", 0, func(t *testing.T, n *transport.MemNetwork, s *server.SGServer) *server.SGServer {
				return restart(t, n, s.Close)
			}},
		} {
			t.Run(kind.name+", "+test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := transport.NewMemNetwork()
					s := coordinator(t, n, server.Option{MaxConnectionAge: test.age})
					c, err := kind.make(client.Option{Mem: n, AllowPlain: true, Identities: []string{"tx-1"}})
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					say(t, c)
					synctest.Wait()
					before := s.Peers("tx-1")
					if len(before) != 1 {
						t.Fatalf("%d peers after the first call", len(before))
					}
					s = test.end(t, n, s)
					time.Sleep(10 * time.Second)
					synctest.Wait()
					after := s.Peers("tx-1")
					if len(after) != 1 || after[0] == before[0] {
						t.Fatalf("%d peers, and that from before is one of them: %v", len(after), len(after) > 0)
					}
				})
			})
		}
	}
}

// A client that is closed is not there any more, whatever it was about to do.
func TestAClosedClientIsNotCalledBack(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Millisecond, 200 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			n := transport.NewMemNetwork()
			s := coordinator(t, n, server.Option{})
			c := dialMem(t, n, "a", client.Option{Identities: []string{"tx-1"}})
			say(t, c)
			n.CutAll()
			time.Sleep(wait)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Second)
			if got := len(s.Peers("tx-1")); got != 0 {
				t.Errorf("closed %v after its connection ended, it is there %d times", wait, got)
			}
		})
	}
}

// A client without identities waits for its next call.
func TestAClientThatNobodyCallsDialsWhenItCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		p := listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		say(t, c)
		n.CutAll()
		time.Sleep(time.Minute)
		if got := p.accepted.Load(); got != 1 {
			t.Errorf("%d connections for one call", got)
		}
	})
}
