package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Arith is what the tests call.
type Arith struct {
	entered chan struct{} // told when Wait begins
	ended   chan error    // told how the context of a Wait ended
}

type Operands struct{ A, B int }

type Sum struct{ C int }

func (*Arith) Add(_ context.Context, in *Operands, out *Sum) error {
	out.C = in.A + in.B
	return nil
}

func (*Arith) Divide(_ context.Context, in *Operands, out *Sum) error {
	if in.B == 0 {
		return protocol.NewError(protocol.OutOfRange, "division by zero")
	}
	out.C = in.A / in.B
	return nil
}

// Wait answers when its context ends.
func (a *Arith) Wait(ctx context.Context, _ *Operands, _ *Sum) error {
	a.entered <- struct{}{}
	<-ctx.Done()
	a.ended <- ctx.Err()
	return ctx.Err()
}

type Key struct{ Key string }

type Value struct {
	Value   string
	Present bool
}

// Meta tells what metadata the request has under a key, and sends it back.
func (*Arith) Meta(ctx context.Context, in *Key, out *Value) error {
	out.Value, out.Present = protocol.MetaValue(ctx, in.Key)
	if strings.HasPrefix(in.Key, "sinew-") {
		return nil
	}
	return server.SetReplyMeta(ctx, "x-echo", out.Value)
}

type Text struct{ Text string }

// Repeat answers with a long text.
func (*Arith) Repeat(_ context.Context, in *Operands, out *Text) error {
	out.Text = strings.Repeat("sinew ", in.A)
	return nil
}

// Fail fails in a way that the tests choose.
func (*Arith) Fail(_ context.Context, in *Text, _ *Sum) error {
	switch in.Text {
	case "busy":
		return &protocol.Error{Code: protocol.ResourceExhausted, Message: "come back", RetryAfter: 1500 * time.Millisecond, MetaData: map[string]string{"x-queue": "7"}}
	case "plain":
		return errors.New("line one\nline two: ü")
	}
	panic("spilt ink")
}

func newArith() *Arith {
	return &Arith{entered: make(chan struct{}, 8), ended: make(chan error, 8)}
}

// places are where a gateway stands: each test runs in both.
var places = []string{"beside", "alone"}

// newBackend returns a backend with arith behind it, in place, on a network in
// memory.
func newBackend(t *testing.T, place string, arith *Arith, option server.Option) gateway.Backend {
	t.Helper()
	network := transport.NewMemNetwork()
	option.Mem = network
	s, err := server.NewSGServer(&option)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(arith); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("mem", "arith", nil) }()
	<-s.Listening()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	})
	if place == "beside" {
		return s
	}
	op := client.DefaultSGOption
	op.Registry = registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{Network: "mem", Addr: "arith", Tags: map[string]string{"idc": "lf"}})
	op.AllowLocal, op.Mem, op.RequestTimeout = true, network, 10*time.Second
	op.Auth = "the gateway's own"
	c, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// newGateway returns a gateway to arith in place.
func newGateway(t *testing.T, place string, arith *Arith, option *gateway.Option) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(newBackend(t, place, arith, server.Option{}), option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// everywhere runs f with a gateway in each place.
func everywhere(t *testing.T, option *gateway.Option, f func(t *testing.T, g *gateway.Gateway)) {
	for _, place := range places {
		t.Run(place, func(t *testing.T) { f(t, newGateway(t, place, newArith(), option)) })
	}
}

// post makes a request of JSON, with headers given as name and value.
func post(path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// serve returns what h answers to r.
func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// bodyOf returns the body of a response.
func bodyOf(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// expect compares status and body.
func expect(t *testing.T, res *http.Response, status int, body string) {
	t.Helper()
	if got := bodyOf(t, res); res.StatusCode != status || got != body {
		t.Errorf("answered %d %q, want %d %q", res.StatusCode, got, status, body)
	}
}
