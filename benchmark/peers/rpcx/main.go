// Command rpcx measures github.com/smallnest/rpcx.
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
	// Its log would be written for each closed connection.
	log.SetDummyLogger()
	os.Exit(load.Main(load.Row{
		Name:     "rpcx",
		Module:   "github.com/smallnest/rpcx",
		Settings: "default options (AsyncWrite off, as its source advises; a goroutine per request); msgpack by msgp's generated methods; one plain client.Client, without the layers of XClient; a timeout is the context's",
		Timeouts: []load.Timeout{load.TimeoutIgnored, load.TimeoutContext},
		Serve:    serve,
		Dial:     dial,
	}))
}

// Echo is the service.
type Echo struct{}

// Echo returns the request.
func (Echo) Echo(_ context.Context, request *echo.Message, reply *echo.Message) error {
	*reply = *request
	return nil
}

func serve(ln net.Listener) error {
	s := server.NewServer()
	if err := s.Register(Echo{}, ""); err != nil {
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
		err := c.Call(ctx, "Echo", "Echo", &echo.Message{ID: id, Body: body}, reply)
		return reply.ID, reply.Body, err
	}, c.Close), nil
}
