package server_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Calculator is served by the example.
type Calculator struct{}

// Operands is what Calculator's methods take.
type Operands struct{ A, B int }

// Mul multiplies.
func (Calculator) Mul(_ context.Context, req *Operands, product *int) error {
	*product = req.A * req.B
	return nil
}

// A server takes structs and typed funcs, serves until it is shut down, and
// drains then. The call here goes over the parts that package client is made of;
// a program would use that.
func Example() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, ShutDownWait: 5 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Register(Calculator{}); err != nil {
		log.Fatal(err)
	}
	err = server.Handle(s, "Calculator.Div", func(_ context.Context, req *Operands) (*int, error) {
		if req.B == 0 {
			return nil, protocol.NewError(protocol.InvalidArgument, "division by zero")
		}
		quotient := req.A / req.B
		return &quotient, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve("mem", "calculator", nil) }()
	<-s.Listening()

	ctx := context.Background()
	conn, err := network.Dial(ctx, "calculator")
	if err != nil {
		log.Fatal(err)
	}
	var workers transport.Workers
	session, err := transport.NewSession(conn, &transport.SessionConfig{Workers: &workers})
	if err != nil {
		log.Fatal(err)
	}
	var caller endpoint.Caller
	var result int
	err = caller.Call(ctx, session, "Calculator", "Mul", &Operands{6, 7}, &result, nil)
	fmt.Println(result, err)
	err = caller.Call(ctx, session, "Calculator", "Div", &Operands{6, 0}, &result, nil)
	fmt.Println(err)

	fmt.Println("drained:", s.Shutdown(ctx) == nil)
	fmt.Println("closed:", errors.Is(<-ended, server.ErrServerClosed))
	_ = session.Close()
	workers.Close()
	// Output:
	// 42 <nil>
	// InvalidArgument: division by zero
	// drained: true
	// closed: true
}

// auth refuses requests without the right word by their header, before their
// body is read.
type auth struct {
	server.BaseWrapper
	word string
}

// Admit is asked about every request.
func (a auth) Admit(_ context.Context, h *protocol.Header, _ int) error {
	if h.MetaData[protocol.MetaAuth] != a.word {
		return protocol.NewError(protocol.Unauthenticated, "say the word")
	}
	return nil
}

// A wrapper embeds BaseWrapper and writes only what it needs; Admit refuses a
// request before its body is read.
func ExampleAdmitter() {
	s, err := server.NewSGServer(&server.Option{Wrappers: []server.Wrapper{auth{word: "sesame"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Register(Calculator{}); err != nil {
		log.Fatal(err)
	}
	request := &protocol.Message{Header: protocol.Header{ServiceName: "Calculator", MethodName: "Mul"}}
	_, err = s.Do(context.Background(), request)
	fmt.Println(err, protocol.OutcomeOf(err))
	// Output: Unauthenticated: say the word Refused
}
