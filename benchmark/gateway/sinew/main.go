// Command sinew measures this repository's own gateway, beside a server and alone.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"

	"github.com/sinew-rpc/sinew/benchmark/internal/jsonecho"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

func main() {
	dial := jsonecho.Dial("/Echo/Echo")
	os.Exit(load.Main(
		load.Row{
			Name:     "sinew",
			Settings: "default options; beside an SGServer, through its chain; encoding/json; gateway.Server with its limits",
			Serve:    serve, Dial: dial,
		},
		load.Row{
			Name:     "sinew/alone",
			Settings: "default options; an SGClient of one provider, an SGServer; encoding/json, in the provider alone; gateway.Server with its limits",
			Forward:  forward, Provide: provide, Dial: dial,
		},
	))
}

// Echo is the service.
type Echo struct{}

// Echo returns the request.
func (Echo) Echo(_ context.Context, request, reply *jsonecho.Message) error {
	*reply = *request
	return nil
}

func newServer() (*server.SGServer, error) {
	s, err := server.NewSGServer(nil)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return s, s.Register(Echo{})
}

func serve(ln net.Listener) error {
	s, err := newServer()
	if err != nil {
		return err
	}
	return serveGateway(ln, s)
}

func provide(ln net.Listener) error {
	s, err := newServer()
	if err != nil {
		return err
	}
	return s.ServeListener(ln, nil)
}

func forward(ln net.Listener, addr string) error {
	option := client.DefaultSGOption
	option.Registry = registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{Network: "tcp", Addr: addr})
	c, err := client.NewSGClient(option)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer c.Close()
	return serveGateway(ln, c)
}

func serveGateway(ln net.Listener, backend gateway.Backend) error {
	g, err := gateway.New(backend, nil)
	if err != nil {
		return err
	}
	s, err := gateway.NewServer(g, nil)
	if err != nil {
		return err
	}
	return s.Serve(ln)
}
