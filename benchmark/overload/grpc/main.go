// Command grpc puts google.golang.org/grpc under overload.
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
		Settings: "default options; the deadline travels, and handlers see it",
		Serve:    serve,
		Dial:     dial,
	}))
}

type service struct {
	echopb.UnimplementedEchoServer
	desk *load.Desk
}

// Echo returns the request when it has worked.
func (s service) Echo(ctx context.Context, request *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	return &echopb.EchoResponse{Id: request.Id, Body: request.Body}, s.desk.Work(ctx)
}

func serve(ln net.Listener) error {
	s := grpc.NewServer()
	echopb.RegisterEchoServer(s, service{desk: load.NewDesk()})
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
