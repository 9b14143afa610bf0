package jsonrpc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// TestAGatewayAlone passes calls on to a provider over a connection, whose own
// serializer is msgpack.
func TestAGatewayAlone(t *testing.T) {
	network, r := transport.NewMemNetwork(), memory.NewRegistry("spec")
	s, err := server.NewSGServer(&server.Option{Mem: network, Registry: r})
	if err != nil {
		t.Fatal(err)
	}
	entered, ended := make(chan struct{}), make(chan struct{})
	arrived := make(chan string, 1)
	handle(t, s, "Spec.Subtract", func(_ context.Context, o *Operands) (*int, error) { return new(o.Minuend - o.Subtrahend), nil })
	handle(t, s, "Spec.Update", func(_ context.Context, numbers *[]int) (*struct{}, error) {
		arrived <- "update"
		return new(struct{}), nil
	})
	handle(t, s, "Spec.Wait", func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		close(entered)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve("mem", "spec", nil) }()
	defer func() {
		s.Close()
		if err := <-served; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	}()
	op := client.DefaultSGOption
	op.Registry, op.Mem = r, network
	op.RequestTimeout = 30 * time.Second
	sg, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	defer sg.Close()
	c := dial(t, handler(t, sg, option()), nil)

	var difference int
	if err := c.Call(t.Context(), "subtract", []int{42, 23}, &difference); err != nil || difference != 19 {
		t.Errorf("%d, %v", difference, err)
	}
	if err := c.Notify(t.Context(), "update", []int{1, 2, 3}); err != nil {
		t.Error(err)
	}
	if got := <-arrived; got != "update" {
		t.Error(got)
	}
	wantError(t, c.Call(t.Context(), "Spec.None", nil, nil), protocol.Unimplemented, protocol.Refused)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := make(chan error, 1)
	go func() { left <- c.Call(ctx, "Spec.Wait", nil, nil) }()
	<-entered
	cancel()
	wantError(t, <-left, protocol.Canceled, protocol.MaybeRun)
	<-ended // the cancel went all the way
}
