// Command kitex puts github.com/cloudwego/kitex with its multiplexing transport
// under overload.
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
	klog.SetLevel(klog.LevelFatal)
	os.Exit(load.Main(load.Row{
		Name:     "kitex/mux",
		Module:   "github.com/cloudwego/kitex",
		Settings: "WithMuxTransport and WithMuxConnection(1), WithRPCTimeout at the deadline, else defaults",
		Serve:    serve,
		Dial:     dial,
	}))
}

type service struct{ desk *load.Desk }

// Echo returns the request when it has worked.
func (s *service) Echo(ctx context.Context, request *echo.EchoRequest) (*echo.EchoResponse, error) {
	return &echo.EchoResponse{Id: request.Id, Body: request.Body}, s.desk.Work(ctx)
}

func serve(ln net.Listener) error {
	return echoservice.NewServer(&service{load.NewDesk()}, server.WithListener(ln), server.WithMuxTransport()).Run()
}

func dial(o load.DialOptions) (load.Client, error) {
	c, err := echoservice.NewClient("echo",
		client.WithHostPorts(o.Addr), client.WithMuxConnection(1), client.WithRPCTimeout(o.RequestTimeout))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return load.Shared(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply, err := c.Echo(ctx, &echo.EchoRequest{Id: id, Body: body})
		if err != nil {
			return 0, nil, err
		}
		return reply.Id, reply.Body, nil
	}, func() error { return nil }), nil
}
