package e2e

import (
	"context"
	"errors"
	"testing"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
)

// newServer returns a server of what is given, not yet serving.
func newServer(t testing.TB, o server.Option, services ...any) *server.SGServer {
	t.Helper()
	s, err := server.NewSGServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range services {
		if err := s.Register(service); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// serve has s serve on its first address and returns what to dial. When the test
// ends Serve must have returned as it should.
func serve(t testing.TB, s *server.SGServer, network, addr string) string {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(network, addr, nil) }()
	<-s.Listening()
	if s.Addr() == nil {
		t.Fatal(<-ended)
	}
	t.Cleanup(func() {
		_ = s.Close() // returns nil
		if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s.Addr().String()
}

// dial returns a client that is closed at the end of the test.
func dial(t testing.TB, network, addr string, o client.Option) client.RPCClient {
	t.Helper()
	c, err := client.NewRPCClient(network, addr, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // returns nil
	return c
}

// governed returns a client of whoever r lists, closed at the end of the test.
func governed(t testing.TB, r *memory.Registry, o client.SGOption) client.SGClient {
	t.Helper()
	o.Registry = r
	c, err := client.NewSGClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // returns nil
	return c
}

// say calls Echo.Say once; it must be answered.
func say(t testing.TB, c client.Caller) {
	t.Helper()
	res, err := client.Invoke[echo.Body](context.Background(), c, "Echo.Say", &echo.Body{ID: 7})
	if err != nil || res.ID != 7 {
		t.Fatalf("Echo.Say: %v, %v", res, err)
	}
}

// wantError checks code and outcome of a call's error.
func wantError(t testing.TB, err error, code protocol.Code, outcome protocol.Outcome) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) || e.Code != code || protocol.OutcomeOf(err) != outcome {
		t.Errorf("got %v (%v), want %v, %v", err, protocol.OutcomeOf(err), code, outcome)
	}
}
