// Command kitex measures github.com/cloudwego/kitex with its multiplexing
// transport.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/klog"
	"github.com/cloudwego/kitex/server"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
	"github.com/sinew-rpc/sinew/benchmark/peers/kitex/kitex_gen/echo"
	"github.com/sinew-rpc/sinew/benchmark/peers/kitex/kitex_gen/echo/echoservice"
)

func main() {
	klog.SetLevel(klog.LevelError)
	os.Exit(load.Main(load.Row{
		Name:     "kitex/mux",
		Module:   "github.com/cloudwego/kitex",
		Settings: "WithMuxTransport and WithMuxConnection(1), else defaults (netpoll); thrift by its generated fast codec; one connection; request timeout is WithRPCTimeout",
		Timeouts: []load.Timeout{load.TimeoutIgnored, load.TimeoutRequest, load.TimeoutContext},
		Serve:    serve,
		Dial:     dial,
	}))
}

type service struct{}

// Echo returns the request.
func (*service) Echo(_ context.Context, request *echo.EchoRequest) (*echo.EchoResponse, error) {
	return &echo.EchoResponse{Id: request.Id, Body: request.Body}, nil
}

func serve(ln net.Listener) error {
	return echoservice.NewServer(&service{}, server.WithListener(ln), server.WithMuxTransport()).Run()
}

func dial(o load.DialOptions) (load.Client, error) {
	options := []client.Option{client.WithHostPorts(o.Addr), client.WithMuxConnection(1)}
	if o.RequestTimeout > 0 {
		options = append(options, client.WithRPCTimeout(o.RequestTimeout))
	}
	c, err := echoservice.NewClient("echo", options...)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return load.Shared(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply, err := c.Echo(ctx, &echo.EchoRequest{Id: id, Body: body})
		if err != nil {
			return 0, nil, err
		}
		return reply.Id, reply.Body, nil
	}, closer(c)), nil
}

// closer finds the Close that kitex's clients have beside their service's
// interface.
func closer(c any) func() error {
	if closable, ok := c.(interface{ Close() error }); ok {
		return closable.Close
	}
	return func() error { return nil }
}
