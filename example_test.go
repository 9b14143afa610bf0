package sinew_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Arith is a service: its exported methods of this form can be called.
type Arith struct{}

type (
	Args struct{ A, B int }
	Sum  struct{ C int }
)

func (Arith) Add(_ context.Context, args *Args, sum *Sum) error {
	sum.C = args.A + args.B
	return nil
}

// A struct's methods are served by name. This example's network is in memory;
// with "tcp" and a host and port in place of "mem" and "arith" it would be two
// processes.
func Example() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve("mem", "arith", nil) }()
	<-s.Listening()

	c, err := client.NewRPCClient("mem", "arith", &client.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	var sum Sum
	err = c.Call(context.Background(), "Arith.Add", &Args{A: 1, B: 2}, &sum)
	fmt.Println(sum.C, err)
	c.Close()

	fmt.Println(s.Shutdown(context.Background())) // answers the calls that run
	fmt.Println(<-served == server.ErrServerClosed)
	// Output:
	// 3 <nil>
	// <nil>
	// true
}
