package jsonrpc_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
	"github.com/sinew-rpc/sinew/server"
)

type Arith struct{}

type Args struct{ A, B int }

func (Arith) Add(_ context.Context, args *Args, sum *int) error {
	*sum = args.A + args.B
	return nil
}

// A server beside its gateway, and a client that knows nothing of sinew's frames.
func Example() {
	s, err := server.NewSGServer(&server.Option{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	g, err := gateway.New(s, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	h, err := jsonrpc.NewHandler(g, &jsonrpc.Option{
		Positional: map[string][]string{"Arith.Add": {"A", "B"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(h)
	defer web.Close()

	c, err := jsonrpc.NewClient(web.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	var sum int
	if err := c.Call(context.Background(), "Arith.Add", Args{A: 1, B: 2}, &sum); err != nil {
		log.Fatal(err)
	}
	fmt.Println("by name:", sum)

	add := &jsonrpc.BatchCall{Method: "Arith.Add", Params: []int{3, 4}, Result: &sum}
	sub := &jsonrpc.BatchCall{Method: "Arith.Sub", Params: []int{3, 4}}
	if err := c.Batch(context.Background(), add, sub); err != nil {
		log.Fatal(err)
	}
	fmt.Println("by position, in a batch:", sum, add.Err)
	fmt.Println(sub.Err)
	// Output:
	// by name: 3
	// by position, in a batch: 7 <nil>
	// Unimplemented: unknown method "Arith.Sub"
}
