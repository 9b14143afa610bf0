// Command grpcgateway measures github.com/grpc-ecosystem/grpc-gateway.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sinew-rpc/sinew/benchmark/gateway/grpcgateway/echopb"
	"github.com/sinew-rpc/sinew/benchmark/internal/jsonecho"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

const module = "github.com/grpc-ecosystem/grpc-gateway/v2"

func main() {
	dial := jsonecho.Dial(echopb.Echo_Echo_FullMethodName)
	os.Exit(load.Main(
		load.Row{
			Name: "grpc-gateway", Module: module,
			Settings: "default options; the service called directly (RegisterEchoHandlerServer), without what gRPC puts round it; protojson; net/http's server",
			Serve:    serve, Dial: dial,
		},
		load.Row{
			Name: "grpc-gateway/alone", Module: module,
			Settings: "default options; one grpc-go connection to a grpc-go server; protojson, then protobuf; net/http's server",
			Forward:  forward, Provide: provide, Dial: dial,
		},
	))
}

type service struct {
	echopb.UnimplementedEchoServer
}

// Echo returns the request.
func (service) Echo(_ context.Context, request *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	return &echopb.EchoResponse{Id: request.Id, Body: request.Body}, nil
}

func serve(ln net.Listener) error {
	mux := runtime.NewServeMux()
	if err := echopb.RegisterEchoHandlerServer(context.Background(), mux, service{}); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return http.Serve(ln, mux)
}

func forward(ln net.Listener, addr string) error {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	mux := runtime.NewServeMux()
	if err := echopb.RegisterEchoHandler(context.Background(), mux, conn); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return http.Serve(ln, mux)
}

func provide(ln net.Listener) error {
	s := grpc.NewServer()
	echopb.RegisterEchoServer(s, service{})
	return s.Serve(ln)
}
