package sinew_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

type (
	Order   struct{ Item string }
	Receipt struct{ Text string }
	Ask     struct{ Question string }
	Answer  struct{ Yes bool }
)

// buy asks the client that is buying before it sells.
func buy(ctx context.Context, order *Order) (*Receipt, error) {
	var answer Answer
	err := server.PeerFrom(ctx).Call(ctx, "Buyer.Confirm", &Ask{Question: "really " + order.Item + "?"}, &answer)
	switch {
	case err != nil:
		return nil, err
	case !answer.Yes:
		return &Receipt{Text: "nothing sold"}, nil
	}
	return &Receipt{Text: "sold: " + order.Item}, nil
}

// A connection works both ways: a handler calls the client that called it, and
// gets an answer, on the same connection.
func Example_callingBack() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Handle(s, "Shop.Buy", buy); err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "shop", nil)
	<-s.Listening()
	defer s.Close()

	c, err := client.NewRPCClient("mem", "shop", &client.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	err = client.Handle(c, "Buyer.Confirm", func(_ context.Context, ask *Ask) (*Answer, error) {
		fmt.Println(ask.Question)
		return &Answer{Yes: true}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := client.Invoke[Receipt](context.Background(), c, "Shop.Buy", &Order{Item: "a prism"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Text)
	// Output:
	// really a prism?
	// sold: a prism
}
