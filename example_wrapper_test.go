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

// Audit is a wrapper that says what is called and how that ended. It embeds
// BaseWrapper for the half that it does not need.
type Audit struct {
	server.BaseWrapper
	Name string
}

func (a Audit) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		fmt.Printf("%s: %s.%s begins\n", a.Name, req.ServiceName, req.MethodName)
		err := next(ctx, req, res)
		fmt.Printf("%s: it ends with %v\n", a.Name, protocol.CodeOf(err))
		return err
	}
}

// Wrappers see each request before it is decoded and the reply after it is
// encoded; the first in the list is outermost.
func Example_wrapper() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{
		Mem:      network,
		Wrappers: []server.Wrapper{Audit{Name: "outer"}, Audit{Name: "inner"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.RegisterName("Calc", Arith{}); err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "calc", nil)
	<-s.Listening()

	c, err := client.NewRPCClient("mem", "calc", &client.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Invoke[Sum](context.Background(), c, "Calc.Add", &Args{A: 1, B: 2})
	c.Close()
	s.Close()
	fmt.Println(err)
	// Output:
	// outer: Calc.Add begins
	// inner: Calc.Add begins
	// inner: it ends with OK
	// outer: it ends with OK
	// <nil>
}
