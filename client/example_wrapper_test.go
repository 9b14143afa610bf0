package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
)

// Trace is a wrapper that shows calls, and the attempts that they take.
type Trace struct{}

func (Trace) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		err := next(ctx, serviceMethod, req, resp)
		fmt.Println("call of", serviceMethod, "ended with", protocol.CodeOf(err))
		return err
	}
}

func (Trace) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	return func(ctx context.Context, a *client.Attempt) error {
		err := next(ctx, a)
		fmt.Println("attempt", a.Number, "over", a.Provider.Network, "ended with", protocol.CodeOf(err))
		return err
	}
}

// A wrapper sees every call once, and if it wants every attempt.
func ExampleAttemptWrapper() {
	r := memory.NewRegistry("doubler")
	s := startDoubler(r)
	defer s.Close()
	op := client.DefaultSGOption
	op.Registry = r
	op.Wrappers = append(op.Wrappers, Trace{})
	c, err := client.NewSGClient(op)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	var out Number
	if err := c.Call(context.Background(), "Doubler.Double", &Number{N: 2}, &out); err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.N)
	// Output:
	// attempt 0 over tcp ended with OK
	// call of Doubler.Double ended with OK
	// 4
}
