// Command sinew measures this repository's own framework. All of its rows are
// one binary.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"

	"github.com/sinew-rpc/sinew/benchmark/internal/echo"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

const settings = "default options; one connection of a plain RPCClient; no request timeout unless said; " + reader

// reader is how the server serves by default, which tells in an echo.
const reader = "on a busy connection quick requests (bodies up to 4 KiB, methods of 20 µs at most so far) are served by its reader, others by goroutines; "

var timeouts = []load.Timeout{load.TimeoutRequest, load.TimeoutIgnored, load.TimeoutContext}

func main() {
	os.Exit(load.Main(
		load.Row{
			Name: "sinew/msgp", Settings: settings + "msgpack by msgp's generated methods", Timeouts: timeouts,
			Serve: serve, Dial: dialGenerated,
		},
		load.Row{
			Name: "sinew/msgpack", Settings: settings + "msgpack by reflection", Timeouts: timeouts,
			Serve: serve, Dial: dialPlain,
		},
		governed,
	))
}

// Generated is the service for messages with generated methods.
type Generated struct{}

// Echo returns the request.
func (Generated) Echo(_ context.Context, request, reply *echo.Message) error {
	*reply = *request
	return nil
}

// Plain is the service for messages that are reflected.
type Plain struct{}

// Echo returns the request.
func (Plain) Echo(_ context.Context, request, reply *echo.Plain) error {
	*reply = *request
	return nil
}

func serve(ln net.Listener) error {
	s, err := server.NewSGServer(&server.Option{SerializeType: protocol.SerializeTypeMsgpack})
	if err != nil {
		return err
	}
	for _, service := range []any{Generated{}, Plain{}} {
		if err := s.Register(service); err != nil {
			return err
		}
	}
	return s.ServeListener(ln, nil)
}

func dial(o load.DialOptions) (client.RPCClient, error) {
	option := client.DefaultSGOption.Option
	option.SerializeType = protocol.SerializeTypeMsgpack
	option.RequestTimeout = o.RequestTimeout
	if option.RequestTimeout == 0 {
		option.RequestTimeout = -time.Nanosecond // off
	}
	c, err := client.NewRPCClient("tcp", o.Addr, &option)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return c, nil
}

func dialGenerated(o load.DialOptions) (load.Client, error) {
	c, err := dial(o)
	if err != nil {
		return nil, err
	}
	return load.Shared(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply := &echo.Message{}
		err := c.Call(ctx, "Generated.Echo", &echo.Message{ID: id, Body: body}, reply)
		return reply.ID, reply.Body, err
	}, c.Close), nil
}

func dialPlain(o load.DialOptions) (load.Client, error) {
	c, err := dial(o)
	if err != nil {
		return nil, err
	}
	return load.Shared(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply := &echo.Plain{}
		err := c.Call(ctx, "Plain.Echo", &echo.Plain{ID: id, Body: body}, reply)
		return reply.ID, reply.Body, err
	}, c.Close), nil
}
