// Command sinew puts this repository's own framework under overload, with and
// without a limit on concurrency.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/wrapper"

	"github.com/sinew-rpc/sinew/benchmark/internal/echo"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

func main() {
	os.Exit(load.Main(
		load.Row{
			Name: "sinew", Settings: "default options",
			Serve: serve(), Dial: dial,
		},
		load.Row{
			Name: "sinew/limited", Settings: "server.Option.Wrappers: &wrapper.ConcurrencyLimit{}, nothing else",
			Serve: serve(&wrapper.ConcurrencyLimit{}), Dial: dial,
		},
	))
}

// Busy is the service.
type Busy struct{ desk *load.Desk }

// Echo returns the request when it has worked.
func (b Busy) Echo(ctx context.Context, request, reply *echo.Message) error {
	*reply = *request
	return b.desk.Work(ctx)
}

func serve(wrappers ...server.Wrapper) func(net.Listener) error {
	return func(ln net.Listener) error {
		s, err := server.NewSGServer(&server.Option{Wrappers: wrappers})
		if err != nil {
			return err
		}
		if err := s.Register(Busy{load.NewDesk()}); err != nil {
			return err
		}
		return s.ServeListener(ln, nil)
	}
}

func dial(o load.DialOptions) (load.Client, error) {
	c, err := client.NewRPCClient("tcp", o.Addr, &client.Option{RequestTimeout: -time.Nanosecond}) // the context's alone
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return load.Shared(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply := &echo.Message{}
		err := c.Call(ctx, "Busy.Echo", &echo.Message{ID: id, Body: body}, reply)
		return reply.ID, reply.Body, err
	}, c.Close), nil
}
