package sinew_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Gate refuses requests that do not bring the secret.
type Gate struct {
	server.BaseWrapper
	Secret string
}

func (g Gate) Admit(_ context.Context, h *protocol.Header, _ int) error {
	if h.MetaData[protocol.MetaAuth] != g.Secret {
		return protocol.NewError(protocol.Unauthenticated, "set client.Option.Auth to the secret")
	}
	return nil
}

// What a wrapper's Admit refuses is not even read: only the header was.
func Example_admit() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, Wrappers: []server.Wrapper{Gate{Secret: "hello01"}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Register(Arith{}); err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "gated", nil)
	<-s.Listening()
	defer s.Close()

	for _, auth := range []string{"", "hello01"} {
		c, err := client.NewRPCClient("mem", "gated", &client.Option{Mem: network, Auth: auth})
		if err != nil {
			log.Fatal(err)
		}
		_, err = client.Invoke[Sum](context.Background(), c, "Arith.Add", &Args{A: 1, B: 2})
		fmt.Printf("auth %q: %v\n", auth, err)
		if err != nil {
			fmt.Println(protocol.OutcomeOf(err)) // it certainly did not run
		}
		c.Close()
	}
	// Output:
	// auth "": Unauthenticated: set client.Option.Auth to the secret
	// Refused
	// auth "hello01": <nil>
}
