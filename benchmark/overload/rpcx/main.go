// Command rpcx puts github.com/smallnest/rpcx under overload.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/smallnest/rpcx/client"
	"github.com/smallnest/rpcx/log"
	"github.com/smallnest/rpcx/protocol"
	"github.com/smallnest/rpcx/server"

	"github.com/sinew-rpc/sinew/benchmark/internal/echo"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

func main() {
	// Its log would be written for each answer that comes too late.
	log.SetDummyLogger()
	os.Exit(load.Main(load.Row{
		Name:     "rpcx",
		Module:   "github.com/smallnest/rpcx",
		Settings: "default options; one plain client.Client",
		Serve:    serve,
		Dial:     dial,
	}))
}

// Busy is the service.
type Busy struct{ desk *load.Desk }

// Echo returns the request when it has worked.
func (b Busy) Echo(ctx context.Context, request *echo.Message, reply *echo.Message) error {
	*reply = *request
	return b.desk.Work(ctx)
}

func serve(ln net.Listener) error {
	s := server.NewServer()
	if err := s.Register(Busy{load.NewDesk()}, ""); err != nil {
		return err
	}
	return s.ServeListener("tcp", ln)
}

func dial(o load.DialOptions) (load.Client, error) {
	option := client.DefaultOption
	option.SerializeType = protocol.MsgPack
	c := client.NewClient(option)
	if err := c.Connect("tcp", o.Addr); err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return load.Shared(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply := &echo.Message{}
		err := c.Call(ctx, "Busy", "Echo", &echo.Message{ID: id, Body: body}, reply)
		if err != nil {
			return 0, nil, err // reply may still be written to
		}
		return reply.ID, reply.Body, nil
	}, c.Close), nil
}
