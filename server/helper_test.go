package server_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

type AddRequest struct{ A, B int }
type AddReply struct{ Sum int }

// Arith is what most tests serve.
type Arith struct{}

func (Arith) Add(_ context.Context, req *AddRequest, reply *AddReply) error {
	reply.Sum = req.A + req.B
	return nil
}

// on makes a server that serves Arith on the in-memory network; configure may
// change its option and is given the server's network in it.
func on(t testing.TB, o server.Option) (*server.SGServer, *transport.MemNetwork) {
	t.Helper()
	if o.Mem == nil {
		o.Mem = transport.NewMemNetwork()
	}
	s, err := server.NewSGServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(Arith{}); err != nil {
		t.Fatal(err)
	}
	return s, o.Mem
}

// running has s serve at "mem" address "server" and sees to it that Serve ends
// as it should.
func running(t testing.TB, s *server.SGServer) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve("mem", "server", nil) }()
	<-s.Listening()
	if s.Addr() == nil {
		t.Fatal(<-ended)
	}
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// client is the least that calls: one session, and a table of what it serves.
type client struct {
	*transport.Session
	caller  endpoint.Caller
	table   endpoint.Table
	workers transport.Workers
	away    chan string // the reason of a goaway
	ended   chan error
}

func dial(t testing.TB, n *transport.MemNetwork, hello map[string]string) *client {
	t.Helper()
	conn, err := transport.Dial(context.Background(), "mem", "server", transport.DialOptions{Mem: n})
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn, hello)
}

func newClient(t testing.TB, conn net.Conn, hello map[string]string) *client {
	t.Helper()
	c := &client{away: make(chan string, 1), ended: make(chan error, 1)}
	var err error
	c.Session, err = transport.NewSession(conn, &transport.SessionConfig{
		Handler:  &endpoint.Dispatcher{Methods: &c.table},
		Workers:  &c.workers,
		Hello:    hello,
		OnGoAway: func(_ *transport.Session, reason string) { c.away <- reason },
		OnEnd:    func(_ *transport.Session, err error) { c.ended <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		c.workers.Close()
	})
	return c
}

// call calls within a second, unless ctx says less.
func (c *client) call(ctx context.Context, service, method string, req, resp any) error {
	bound := endpoint.Bound(ctx, time.Second)
	defer bound.End()
	return c.caller.Call(bound, c.Session, service, method, req, resp, nil)
}

// add calls Arith.Add and checks the sum.
func (c *client) add(t testing.TB) {
	t.Helper()
	var reply AddReply
	if err := c.call(context.Background(), "Arith", "Add", &AddRequest{1, 2}, &reply); err != nil {
		t.Fatal(err)
	}
	if reply.Sum != 3 {
		t.Fatalf("1 + 2 = %d", reply.Sum)
	}
}

// wantError checks code and outcome of a call's error.
func wantError(t testing.TB, err error, code protocol.Code, outcome protocol.Outcome) {
	t.Helper()
	if protocol.CodeOf(err) != code || protocol.OutcomeOf(err) != outcome {
		t.Errorf("got %v (%v), want %v, %v", err, protocol.OutcomeOf(err), code, outcome)
	}
}
