package e2e

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	pires "github.com/pires/go-proxyproto"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/transport/proxyproto"
)

// Behind a balancer a handler sees who calls, and frames go as they always do.
func TestServerBehindABalancer(t *testing.T) {
	inner, err := transport.Listen("tcp", "127.0.0.1:0", transport.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := proxyproto.NewListener(inner, proxyproto.Option{
		Trusted:       []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		HeaderTimeout: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, server.Option{}, &echo.Echo{})
	err = server.Handle(s, "Who.Calls", func(ctx context.Context, _ *echo.Body) (*echo.Body, error) {
		return &echo.Body{Data: []byte(server.PeerFrom(ctx).RemoteAddr().String())}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.ServeListener(ln, nil) }()
	<-s.Listening()

	// A peer that says nothing keeps nobody waiting.
	silent, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	who := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711}
	c := dial(t, "tcp", balance(t, inner.Addr().String(), who), client.Option{})
	res, err := client.Invoke[echo.Body](t.Context(), c, "Who.Calls", &echo.Body{})
	if err != nil || string(res.Data) != who.String() {
		t.Errorf("%s calls, %v; it is %v", res.Data, err, who)
	}
	for range 10 {
		say(t, c)
	}
	if err := c.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown of the client: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown of the server: %v", err)
	}
	if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("Serve returned %v", err)
	}
}

// balance forwards one connection to target, with a header that says who it is
// of, and returns where to connect.
func balance(t *testing.T, target string, who net.Addr) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		in, err := ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", target)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := pires.HeaderProxyFromAddrs(2, who, out.RemoteAddr()).WriteTo(out); err != nil {
			t.Error(err)
		}
		pump(in.(*net.TCPConn), out.(*net.TCPConn))
	}()
	return ln.Addr().String()
}

// pump copies both ways until both ends have closed.
func pump(a, b *net.TCPConn) {
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = a.ReadFrom(b) // either end may break off
		_ = a.CloseWrite()
	}()
	_, _ = b.ReadFrom(a)
	_ = b.CloseWrite()
	<-back
	_, _ = a.Close(), b.Close()
}
