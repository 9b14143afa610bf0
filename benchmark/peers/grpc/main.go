// Command grpc measures google.golang.org/grpc.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
	"github.com/sinew-rpc/sinew/benchmark/peers/grpc/echopb"
)

func main() {
	os.Exit(load.Main(load.Row{
		Name:     "grpc-go",
		Module:   "google.golang.org/grpc",
		Settings: "default options; generated protobuf (google.golang.org/protobuf); one connection, no TLS; a timeout is the context's",
		Timeouts: []load.Timeout{load.TimeoutIgnored, load.TimeoutContext},
		Serve:    serve,
		Dial:     dial,
	}))
}

type service struct {
	echopb.UnimplementedEchoServer
}

// Echo returns the request.
func (service) Echo(_ context.Context, request *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	return &echopb.EchoResponse{Id: request.Id, Body: request.Body}, nil
}

func serve(ln net.Listener) error {
	s := grpc.NewServer()
	echopb.RegisterEchoServer(s, service{})
	return s.Serve(ln)
}

func dial(o load.DialOptions) (load.Client, error) {
	conn, err := grpc.NewClient("passthrough:///"+o.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	c := echopb.NewEchoClient(conn)
	return load.Shared(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply, err := c.Echo(ctx, &echopb.EchoRequest{Id: id, Body: body})
		return reply.GetId(), reply.GetBody(), err
	}, conn.Close), nil
}
