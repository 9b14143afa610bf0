//go:build !race && !sinew_purego

package server_test

import (
	"context"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// TestServerAllocations counts what one call allocates in this process, where
// the client is a loop over a socket that allocates nothing: so all of it is the
// server's. The user's own types are a request and, where there is one, a reply,
// of integers.
func TestServerAllocations(t *testing.T) {
	for _, c := range []struct {
		name     string
		wrappers []server.Wrapper
		method   string
		own      float64 // request, and reply
	}{
		{"struct", nil, "Add", 2},
		{"typed func", nil, "Typed", 2},
		{"with a wrapper", []server.Wrapper{server.BaseWrapper{}}, "Add", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := on(t, server.Option{Wrappers: c.wrappers})
			if err := server.Handle(s, "Arith.Typed", func(_ context.Context, req *AddRequest) (*AddReply, error) {
				return &AddReply{req.A + req.B}, nil
			}); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.Serve("tcp", "127.0.0.1:0", nil) }()
			<-s.Listening()
			conn, err := transport.Dial(t.Context(), "tcp", s.Addr().String(), transport.DialOptions{})
			if err != nil {
				t.Fatal(err)
			}
			frame := protocol.AppendFrame(nil, &protocol.Header{Seq: 1, ServiceName: "Arith", MethodName: c.method, Timeout: 1 << 40}, marshal(t, &AddRequest{1, 2}))
			raw := &rawConn{conn, t}
			raw.send(frame)
			raw.next() // and the hello before it
			answer := make([]byte, 4<<10)
			perCall := testing.AllocsPerRun(2000, func() {
				if _, err := conn.Write(frame); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Read(answer); err != nil { // an answer is one write and fits
					t.Fatal(err)
				}
			})
			t.Logf("%.2f allocations per call, %.0f of them the user's types", perCall, c.own)
			if perCall > c.own+3 {
				t.Errorf("%.2f allocations per call beyond the user's %.0f; at most 3 are allowed", perCall-c.own, c.own)
			}
			conn.Close()
			s.Close()
			<-ended
		})
	}
}
