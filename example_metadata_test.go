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

type (
	Name     struct{ First string }
	Greeting struct{ Text string }
)

// greet reads what came beside the request, and sends something beside the
// reply.
func greet(ctx context.Context, name *Name) (*Greeting, error) {
	language, _ := protocol.MetaValue(ctx, "language")
	if language != "it" {
		language = "en"
	}
	if err := server.SetReplyMeta(ctx, "language", language); err != nil {
		return nil, err
	}
	return &Greeting{Text: map[string]string{"en": "hello ", "it": "ciao "}[language] + name.First}, nil
}

// Metadata travels both ways, beside request and reply.
func Example_metadata() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Handle(s, "Greeter.Greet", greet); err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "greeter", nil)
	<-s.Listening()
	defer s.Close()

	c, err := client.NewRPCClient("mem", "greeter", &client.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := protocol.WithMeta(context.Background(), "language", "it")
	var came map[string]string
	ctx = client.With(ctx, client.ReplyMeta(&came))
	greeting, err := client.Invoke[Greeting](ctx, c, "Greeter.Greet", &Name{First: "Ada"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(greeting.Text, came)
	// Output: ciao Ada map[language:it]
}
