package proxyproto_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	pires "github.com/pires/go-proxyproto"

	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/transport/proxyproto"
)

// A balancer on this host connects and says for whom. A server does the same with
// each connection when it is given the listener, by ServeListener.
func ExampleNewListener() {
	inner, err := transport.Listen("tcp", "127.0.0.1:0", transport.ListenOptions{})
	if err != nil {
		panic(err)
	}
	ln, err := proxyproto.NewListener(inner, proxyproto.Option{
		Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		panic(err)
	}
	defer ln.Close()

	balancer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		panic(err)
	}
	defer balancer.Close()
	client := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711}
	if _, err := pires.HeaderProxyFromAddrs(2, client, balancer.RemoteAddr()).WriteTo(balancer); err != nil {
		panic(err)
	}

	conn, err := ln.Accept()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	if err := transport.Handshake(context.Background(), conn); err != nil {
		panic(err)
	}
	fmt.Println(conn.RemoteAddr())
	// Output: 203.0.113.7:4711
}
