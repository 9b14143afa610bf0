package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/sinew-rpc/sinew/transport"
)

// A connection that breaks in the middle of a message: the network is told to
// cut what is sent to the server after five bytes.
func ExampleMemNetwork() {
	network := transport.NewMemNetwork()
	ln, err := network.Listen("server")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	network.SetFaultsAt("server", transport.MemFaults{
		ToListener: transport.MemPath{CutAfter: 5},
	})

	client, err := network.Dial(context.Background(), "server")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	n, err := client.Write([]byte("hello world"))
	fmt.Println("client wrote", n, "bytes, reset:", errors.Is(err, syscall.ECONNRESET))
	b, err := io.ReadAll(server)
	fmt.Printf("server read %q, reset: %v\n", b, errors.Is(err, syscall.ECONNRESET))
	// Output:
	// client wrote 5 bytes, reset: true
	// server read "hello", reset: true
}

// The network string alone decides how a connection is made.
func ExampleDial() {
	ln, err := transport.Listen("tcp", "127.0.0.1:0", transport.ListenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()

	conn, err := transport.Dial(context.Background(), "tcp", ln.Addr().String(), transport.DialOptions{
		Timeout:     time.Second,
		UserTimeout: 10 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println("connected by", transport.NetworkOf(ln))
	// Output: connected by tcp
}
