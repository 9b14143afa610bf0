package client_test

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
)

// startStock starts a provider whose method Stock.Count is count, and has r list
// it.
func startStock(r registry.Registry, count func(context.Context, *Number) (*Number, error)) *server.SGServer {
	s, err := server.NewSGServer(&server.Option{Registry: r, RegisterOption: registry.RegisterOption{AppKey: "stock"}})
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Handle(s, "Stock.Count", count); err != nil {
		log.Fatal(err)
	}
	go s.Serve("tcp", "127.0.0.1:0", nil)
	<-s.Listening()
	awaitListed(r, s.Addr().String())
	return s
}

func stockClient(r registry.Registry, change func(*client.SGOption)) client.SGClient {
	op := client.DefaultSGOption
	op.AppKey, op.Registry = "stock", r
	change(&op)
	c, err := client.NewSGClient(op)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// A client that tries again at other providers. Only methods that are said to be
// idempotent are tried again once they may have run.
func ExampleFailMode() {
	r := memory.NewRegistry("stock")
	var calls atomic.Int32
	busy := func(context.Context, *Number) (*Number, error) {
		if calls.Add(1) == 1 { // whoever is asked first
			return nil, protocol.NewError(protocol.Unavailable, "busy")
		}
		return &Number{N: 3}, nil
	}
	defer startStock(r, busy).Close()
	defer startStock(r, busy).Close()

	c := stockClient(r, func(op *client.SGOption) {
		op.FailMode, op.Retries = client.FailOver, 2
		op.Idempotent = []string{"Stock.Count"}
	})
	defer c.Close()
	out, err := client.Invoke[Number](context.Background(), c, "Stock.Count", &Number{})
	fmt.Println(out.N, err)
	fmt.Println(c.Stats().Retries, "retry")
	// Output:
	// 3 <nil>
	// 1 retry
}

// The error of a governed call tells its story.
func ExampleExplain() {
	r := memory.NewRegistry("stock")
	full := func(context.Context, *Number) (*Number, error) {
		return nil, protocol.NewError(protocol.Unavailable, "busy")
	}
	defer startStock(r, full).Close()
	defer startStock(r, full).Close()

	c := stockClient(r, func(op *client.SGOption) { op.FailMode, op.Retries = client.FailOver, 1 })
	defer c.Close()
	ctx := client.With(context.Background(), client.Idempotent())
	err := c.Call(ctx, "Stock.Count", &Number{}, &Number{})
	if story, ok := client.Explain(err); ok {
		for _, a := range story.Attempts {
			fmt.Println("attempt", a.Number, a.Code, a.Outcome)
		}
		fmt.Println("ended:", story.Stop)
	}
	// Output:
	// attempt 0 Unavailable Ran
	// attempt 1 Unavailable Ran
	// ended: Retries are used up
}

// A hedged call asks a second provider when the first is slow, and takes the
// answer that comes first.
func ExampleHedge() {
	r := memory.NewRegistry("stock")
	var calls atomic.Int32
	sometimesSlow := func(ctx context.Context, _ *Number) (*Number, error) {
		if calls.Add(1) == 1 {
			<-ctx.Done() // until the client takes the other's answer
			return nil, ctx.Err()
		}
		return &Number{N: 3}, nil
	}
	defer startStock(r, sometimesSlow).Close()
	defer startStock(r, sometimesSlow).Close()

	c := stockClient(r, func(op *client.SGOption) {
		op.FailMode = client.FailOver
		op.HedgeDelay = 20 * time.Millisecond // else what 95 % of the answers take
		op.RequestTimeout = 10 * time.Second
	})
	defer c.Close()
	ctx := client.With(context.Background(), client.Hedge())
	out, err := client.Invoke[Number](ctx, c, "Stock.Count", &Number{})
	fmt.Println(out.N, err)
	fmt.Println(c.Stats().HedgeWins, "hedge answered first")
	// Output:
	// 3 <nil>
	// 1 hedge answered first
}

// A broadcast reaches every provider; a fork takes the first success of several.
func ExampleSGClient() {
	r := memory.NewRegistry("stock")
	for n := range 3 {
		s := startStock(r, func(context.Context, *Number) (*Number, error) { return &Number{N: n + 1}, nil })
		defer s.Close()
	}
	c := stockClient(r, func(*client.SGOption) {})
	defer c.Close()
	ctx := context.Background()

	var parts []*Number
	err := c.Broadcast(ctx, "Stock.Count", &Number{}, func(registry.Provider) any {
		parts = append(parts, new(Number))
		return parts[len(parts)-1]
	})
	total := 0
	for _, part := range parts {
		total += part.N
	}
	fmt.Println(len(parts), "providers have", total, err)

	var any Number
	err = c.Fork(ctx, "Stock.Count", &Number{}, &any, 2)
	fmt.Println(any.N > 0, err)
	// Output:
	// 3 providers have 6 <nil>
	// true <nil>
}
