// Command connect measures the JSON of connectrpc.com/connect.
package main

import (
	"context"
	"net"
	"net/http"
	"os"

	"connectrpc.com/connect"

	"github.com/sinew-rpc/sinew/benchmark/gateway/connect/echopb"
	"github.com/sinew-rpc/sinew/benchmark/gateway/connect/echopb/echopbconnect"
	"github.com/sinew-rpc/sinew/benchmark/internal/jsonecho"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

const plainPath = "/Echo/Echo"

func main() {
	os.Exit(load.Main(
		load.Row{
			Name: "connect-go", Module: "connectrpc.com/connect",
			Settings: "default options; a generated handler; its own JSON codec, protojson; net/http's server",
			Serve:    serve(echopbconnect.NewEchoHandler(service{})),
			Dial:     jsonecho.Dial(echopbconnect.EchoEchoProcedure),
		},
		load.Row{
			Name: "connect-go/plain", Module: "connectrpc.com/connect",
			Settings: "default options; a handler of plain structs; a codec of encoding/json; net/http's server",
			Serve:    serve(plainPath, connect.NewUnaryHandlerSimple(plainPath, echoPlain, connect.WithCodec(plainJSON{}))),
			Dial:     jsonecho.Dial(plainPath),
		},
	))
}

func serve(path string, handler http.Handler) func(net.Listener) error {
	return func(ln net.Listener) error {
		mux := http.NewServeMux()
		mux.Handle(path, handler)
		return http.Serve(ln, mux)
	}
}

type service struct{}

// Echo returns the request.
func (service) Echo(_ context.Context, r *connect.Request[echopb.EchoRequest]) (*connect.Response[echopb.EchoResponse], error) {
	return connect.NewResponse(&echopb.EchoResponse{Id: r.Msg.Id, Body: r.Msg.Body}), nil
}

func echoPlain(_ context.Context, request *jsonecho.Message) (*jsonecho.Message, error) {
	return &jsonecho.Message{ID: request.ID, Body: request.Body}, nil
}
