package wrapper_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
)

type Till struct{}

type Sale struct{ Cents int }
type Receipt struct{ Clerk string }

// Sell tells who sold.
func (Till) Sell(ctx context.Context, _ *Sale, receipt *Receipt) error {
	receipt.Clerk = wrapper.PrincipalFrom(ctx).Name
	return nil
}

// A server that serves those who bring a token, and tells its handlers who they
// are.
func ExampleAuth() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, Wrappers: []server.Wrapper{
		&wrapper.Auth{Verifier: wrapper.StaticTokens(map[string]string{"hello01": "ada", "hello02": "bob"})},
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Register(Till{}); err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "till", nil)
	<-s.Listening()
	defer s.Close()

	for _, token := range []string{"hello01", "hello03"} {
		c, err := client.NewRPCClient("mem", "till", &client.Option{Mem: network, Auth: token})
		if err != nil {
			log.Fatal(err)
		}
		receipt, err := client.Invoke[Receipt](context.Background(), c, "Till.Sell", &Sale{Cents: 250})
		if err != nil {
			fmt.Println(err, "-", protocol.OutcomeOf(err))
		} else {
			fmt.Println("sold by", receipt.Clerk)
		}
		c.Close()
	}
	// Output:
	// sold by ada
	// Unauthenticated: the token is not accepted - Refused
}

// A client whose token is made anew when it is about to expire.
func ExampleTokenSource() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, Wrappers: []server.Wrapper{
		&wrapper.Auth{Verifier: wrapper.StaticTokens(map[string]string{"morning": "ada", "evening": "ada"})},
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Register(Till{}); err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "till", nil)
	<-s.Listening()
	defer s.Close()

	shifts := []string{"morning", "evening"}
	fetch := func(context.Context) (token string, expires time.Time, err error) {
		token, shifts = shifts[0], shifts[1:]
		return token, time.Now().Add(8 * time.Hour), nil
	}
	c, err := client.NewRPCClient("mem", "till", &client.Option{Mem: network, Wrappers: []client.Wrapper{
		&wrapper.TokenSource{Token: wrapper.KeepToken(fetch)},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		receipt, err := client.Invoke[Receipt](context.Background(), c, "Till.Sell", &Sale{Cents: 250})
		fmt.Println(receipt.Clerk, err)
	}
	// Output:
	// ada <nil>
	// ada <nil>
}
