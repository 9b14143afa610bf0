package client

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

// A caller may find that the peer said goaway before the reader, which heard it, has
// told the connection: the provider is left alone for a moment all the same.
func TestACallerThatNoticesAGoAwayFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		ln, err := n.Listen("a")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		op := DefaultSGOption
		op.Mem = n
		op.Registry = registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{Network: "mem", Addr: "a"})
		made, err := NewSGClient(op)
		if err != nil {
			t.Fatal(err)
		}
		defer made.Close()
		synctest.Wait()
		conn := made.(*sgClient).view.Load().list[0].conn
		told := make(chan struct{})
		conn.sessions.OnGoAway = func(s *transport.Session, reason string) {
			<-told
			conn.onGoAway(s, reason)
		}
		s, err := conn.connect(context.Background(), &target{})
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		var workers transport.Workers
		defer workers.Close()
		peer, err := transport.NewSession(accepted, &transport.SessionConfig{Workers: &workers})
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		peer.GoAway("it is about to leave")
		synctest.Wait()
		conn.leave(s, protocol.Draining("a caller has noticed"))
		if !conn.away.Load() {
			t.Error("who said goaway is dialled again at once")
		}
		close(told)
		synctest.Wait()
		if !conn.away.Load() {
			t.Error("the moment ended when the connection was told")
		}
	})
}
