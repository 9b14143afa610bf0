package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
)

// Do passes on a body as it is: here JSON that came from elsewhere, whose types
// this program does not know.
func ExampleSGClient_Do() {
	r := memory.NewRegistry("doubler")
	s := startDoubler(r)
	defer s.Close()
	op := client.DefaultSGOption
	op.Registry = r
	c, err := client.NewSGClient(op)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	reply, err := c.Do(context.Background(), &protocol.Message{
		Header: protocol.Header{
			SerializeType: protocol.SerializeTypeJSON,
			ServiceName:   "Doubler",
			MethodName:    "Double",
		},
		Body: []byte(`{"N": 4503599627370497}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(reply.Body))
	// Output: {"N":9007199254740994}
}
