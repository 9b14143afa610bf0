package sinew_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

type (
	Line  struct{ Text string }
	Words struct{ List []string }
)

// A function is served under any name; the compiler checks request and reply on
// both sides.
func Example_functions() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	err = server.Handle(s, "Text.Words", func(_ context.Context, line *Line) (*Words, error) {
		return &Words{List: strings.Fields(line.Text)}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "text", nil)
	<-s.Listening()
	defer s.Close()

	c, err := client.NewRPCClient("mem", "text", &client.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	words, err := client.Invoke[Words](context.Background(), c, "Text.Words", &Line{Text: "to be or not"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(words.List)
	// Output: [to be or not]
}
