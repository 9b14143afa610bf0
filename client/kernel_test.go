package client_test

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// Where the kernel matters: real sockets, whose errors and timing are its own.
func TestRealSockets(t *testing.T) {
	serverTLS, clientTLS := testutil.Certificates(t)
	for _, test := range []struct{ network, addr string }{
		{"tcp", "127.0.0.1:0"},
		{"tls", "127.0.0.1:0"},
		{"unix", filepath.Join(t.TempDir(), "s")},
	} {
		t.Run(test.network, func(t *testing.T) {
			ln, err := transport.Listen(test.network, test.addr, transport.ListenOptions{TLSConfig: serverTLS})
			if err != nil {
				t.Fatal(err)
			}
			p := serve(t, handshaking{ln})
			op := client.Option{RequestTimeout: 20 * time.Second}
			if test.network == "tls" {
				op.TLSConfig = clientTLS
			}
			c, err := client.NewRPCClient(test.network, ln.Addr().String(), &op)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					for range 20 {
						say(t, c)
					}
				})
			}
			wg.Wait()
			call := c.Go(context.Background(), "Echo.Hang", &text{}, nil, nil)
			for {
				if _, tasks := p.session(0).Load(); tasks == 1 {
					break
				}
				say(t, c) // a round trip later it may be there
			}
			p.stop()
			<-call.Done
			wantError(t, call.Error, protocol.Unavailable, protocol.MaybeRun, "lost")
			for range 2 {
				err = c.Call(context.Background(), "Echo.Say", &text{}, nil)
				wantError(t, err, protocol.Unavailable, protocol.NotSent, "cannot be reached")
			}
		})
	}
}

// handshaking does on Accept what a server does off its accept loop.
type handshaking struct{ net.Listener }

func (ln handshaking) Accept() (net.Conn, error) {
	c, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c, transport.Handshake(ctx, c)
}
