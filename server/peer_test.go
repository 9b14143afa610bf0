package server_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// participant connects under claimed identities and serves Arith itself.
func participant(t testing.TB, n *transport.MemNetwork, claims string) *client {
	t.Helper()
	conn, err := n.Dial(context.Background(), "server")
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn, map[string]string{protocol.MetaIdentity: claims, protocol.MetaAuth: "secret"})
	if err := c.table.Register("Arith", Arith{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// acceptAll takes every claim but "forged", from whoever knows the secret.
func acceptAll(ctx context.Context, h *protocol.Header, claimed []string) ([]string, error) {
	if h.MetaData[protocol.MetaAuth] != "secret" || server.PeerFrom(ctx) == nil {
		return nil, errors.New("who are you?")
	}
	if slices.Contains(claimed, "panic") {
		panic("boom")
	}
	if slices.Contains(claimed, "slow") {
		<-ctx.Done()
		return claimed, nil
	}
	return slices.DeleteFunc(claimed, func(c string) bool { return c == "forged" }), nil
}

func TestServerCallsItsClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{Identify: acceptAll})
		running(t, s)
		a := participant(t, mem, "tx-1,forged")
		b := participant(t, mem, "tx-1,tx-2")
		synctest.Wait()
		if n := len(s.Peers("forged")); n != 0 {
			t.Errorf("%d peers of an identity that was not accepted", n)
		}
		peers := s.Peers("tx-1")
		if len(peers) != 2 || len(s.Peers("tx-2")) != 1 {
			t.Fatalf("peers: %d of tx-1, %d of tx-2", len(peers), len(s.Peers("tx-2")))
		}
		for _, p := range peers {
			var reply AddReply
			if err := p.Call(t.Context(), "Arith.Add", &AddRequest{2, 3}, &reply); err != nil || reply.Sum != 5 {
				t.Errorf("%v: %d, %v", p.Identity(), reply.Sum, err)
			}
			if err := p.Notify(t.Context(), "Arith.Add", &AddRequest{}); err != nil {
				t.Error(err)
			}
		}
		wantError(t, peers[0].Call(t.Context(), "nodot", nil, nil), protocol.InvalidArgument, protocol.NotSent)
		wantError(t, peers[0].Call(t.Context(), "No.Such", &AddRequest{}, nil), protocol.Unimplemented, protocol.Refused)
		a.add(t)
		second := s.Peers("tx-2")[0]
		if ids := second.Identity(); !slices.Equal(ids, []string{"tx-1", "tx-2"}) {
			t.Errorf("identities %v", ids)
		}

		b.Close()
		synctest.Wait()
		if len(s.Peers("tx-1")) != 1 || len(s.Peers("tx-2")) != 0 {
			t.Error("a client that has gone is still listed")
		}
		peer := s.Peers("tx-1")[0]
		if err := peer.Close(); err != nil {
			t.Error(err)
		}
		<-peer.Context().Done()
		<-a.ended
		wantError(t, peer.Call(t.Context(), "Arith.Add", &AddRequest{}, nil), protocol.Unavailable, protocol.NotSent)
	})
}

// A client that has connected anew while its old connection finishes is called on the
// new one.
func TestPeersWhoseConnectionEndsComeLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{Identify: acceptAll, RequestTimeout: time.Minute})
		running(t, s)
		old := participant(t, mem, "tx-1")
		release := make(chan struct{})
		slow := endpoint.NewTyped(func(context.Context, *AddRequest) (*AddReply, error) { <-release; return &AddReply{}, nil })
		if err := old.table.Handle("Slow.Do", slow); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		first := s.Peers("tx-1")[0]
		called := make(chan error)
		go func() { called <- first.Call(t.Context(), "Slow.Do", &AddRequest{}, nil) }()
		synctest.Wait()
		participant(t, mem, "tx-1")
		participant(t, mem, "tx-1")
		synctest.Wait()
		before := s.Peers("tx-1")
		if len(before) != 3 || before[0] != first {
			t.Fatalf("%d peers, the first one first: %v", len(before), before[0] == first)
		}
		old.GoAway("it has connected anew")
		synctest.Wait()
		if after := s.Peers("tx-1"); !slices.Equal(after, []*server.Peer{before[1], before[2], first}) {
			t.Errorf("of three peers, the first one is not last when its connection is about to end")
		}
		close(release)
		if err := <-called; err != nil {
			t.Errorf("the call that was running: %v", err)
		}
		synctest.Wait()
		if n := len(s.Peers("tx-1")); n != 2 {
			t.Errorf("%d peers, when the old connection has ended", n)
		}
	})
}

// TestCallToAClientIsCompressedAsItAnnounced looks at the request on the wire.
func TestCallToAClientIsCompressedAsItAnnounced(t *testing.T) {
	for announced, want := range map[string]protocol.CompressType{"gzip,zstd": protocol.CompressTypeZstd, "gzip": protocol.CompressTypeNone} {
		synctest.Test(t, func(t *testing.T) {
			s, mem := on(t, server.Option{Identify: acceptAll, CompressType: protocol.CompressTypeZstd, CompressThreshold: 100})
			running(t, s)
			conn := dialRaw(t, mem)
			conn.sendFrame(protocol.Header{MessageType: protocol.TypeHello, MetaData: map[string]string{
				protocol.MetaIdentity: "tx", protocol.MetaAuth: "secret", protocol.MetaCompress: announced,
			}}, nil)
			synctest.Wait()
			go s.Peers("tx")[0].Notify(t.Context(), "Log.Write", strings.Repeat("a", 1000))
			if h, body := conn.next(); h.CompressType != want || (len(body) < 1000) != (want != protocol.CompressTypeNone) {
				t.Errorf("with %s announced: %+v, %d bytes", announced, h, len(body))
			}
		})
	}
}

func TestIdentifyThatFailsAcceptsNothing(t *testing.T) {
	for _, claim := range []string{"panic", "slow", "forged", ""} {
		synctest.Test(t, func(t *testing.T) {
			s, mem := on(t, server.Option{Identify: acceptAll, FrameTimeout: 3 * time.Second})
			running(t, s)
			c := participant(t, mem, claim)
			time.Sleep(4 * time.Second)
			if len(s.Peers(claim)) != 0 {
				t.Errorf("%q is listed", claim)
			}
			c.add(t) // the connection lives
		})
	}
}

// TestHandlerCallsBack has a handler call the client that waits for it, while
// the server drains too.
func TestHandlerCallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		entered := make(chan struct{})
		if err := server.Handle(s, "Back.Call", func(ctx context.Context, req *AddRequest) (*AddReply, error) {
			close(entered)
			time.Sleep(time.Second)
			reply := new(AddReply)
			return reply, server.PeerFrom(ctx).Call(ctx, "Arith.Add", req, reply)
		}); err != nil {
			t.Fatal(err)
		}
		running(t, s)
		c := participant(t, mem, "")
		answer := make(chan error, 1)
		var reply AddReply
		go func() {
			answer <- c.caller.Call(t.Context(), c.Session, "Back", "Call", &AddRequest{4, 5}, &reply, nil)
		}()
		<-entered
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-answer; err != nil || reply.Sum != 9 {
			t.Errorf("%d, %v", reply.Sum, err)
		}
	})
}

func TestPeerCallIsBoundByRequestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{Identify: acceptAll, RequestTimeout: 2 * time.Second})
		running(t, s)
		c := participant(t, mem, "tx")
		if err := c.table.Handle("Stuck.Wait", endpoint.NewTyped(func(ctx context.Context, _ *AddRequest) (*AddReply, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // the deadline is to be noticed by the server alone
			return nil, ctx.Err()
		})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begun := time.Now()
		err := s.Peers("tx")[0].Call(t.Context(), "Stuck.Wait", &AddRequest{}, nil)
		wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun)
		if took := time.Since(begun); took != 2*time.Second || !strings.Contains(err.Error(), "RequestTimeout") {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestTLSState reads the client's certificate in a handler and in Identify, and
// has a client that never shakes hands hold nobody up.
func TestTLS(t *testing.T) {
	serverTLS, clientTLS := testutil.Certificates(t)
	names := make(chan string, 2)
	note := func(ctx context.Context) {
		state, ok := server.TLSState(ctx)
		if !ok || len(state.PeerCertificates) == 0 {
			names <- "nobody"
			return
		}
		names <- state.PeerCertificates[0].Subject.CommonName
	}
	s, _ := on(t, server.Option{
		TransportType:    "tls",
		TLSConfig:        serverTLS,
		HandshakeTimeout: time.Second,
		Identify: func(ctx context.Context, _ *protocol.Header, claimed []string) ([]string, error) {
			note(ctx)
			return claimed, nil
		},
	})
	if err := server.Handle(s, "Who.Am", func(ctx context.Context, _ *AddRequest) (*AddReply, error) {
		note(ctx)
		return &AddReply{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve("", "127.0.0.1:0", nil) }()
	<-s.Listening()
	silent, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	conn, err := transport.Dial(t.Context(), "tls", s.Addr().String(), transport.DialOptions{TLSConfig: clientTLS})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn, map[string]string{protocol.MetaIdentity: "me"})
	if err := c.call(t.Context(), "Who", "Am", &AddRequest{}, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if name := <-names; name != "client" {
			t.Errorf("the client's certificate is of %q", name)
		}
	}
	if err := silent.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a client that does not shake hands: %v, want an end", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
		t.Error(err)
	}
}

func TestPeerKnowsItsClientsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{Identify: acceptAll})
		running(t, s)
		c := participant(t, mem, "tx-1")
		synctest.Wait()
		if got, want := s.Peers("tx-1")[0].RemoteAddr().String(), c.Conn().LocalAddr().String(); got != want {
			t.Errorf("the server says %q, the client is %q", got, want)
		}
	})
}
