// Command netrpc measures the standard library's net/rpc.
package main

import (
	"context"
	"fmt"
	"net"
	"net/rpc"
	"os"

	"github.com/sinew-rpc/sinew/benchmark/internal/echo"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

func main() {
	os.Exit(load.Main(load.Row{
		Name:     "net/rpc",
		Settings: "defaults: gob, one connection; has no context and no timeouts",
		Serve:    serve,
		Dial:     dial,
	}))
}

// Echo is the service.
type Echo struct{}

// Echo returns the request.
func (Echo) Echo(request *echo.Plain, reply *echo.Plain) error {
	*reply = *request
	return nil
}

func serve(ln net.Listener) error {
	s := rpc.NewServer()
	if err := s.Register(Echo{}); err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go s.ServeConn(conn)
	}
}

func dial(o load.DialOptions) (load.Client, error) {
	c, err := rpc.Dial("tcp4", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return load.Shared(func(_ context.Context, id int64, body []byte) (int64, []byte, error) {
		reply := &echo.Plain{}
		err := c.Call("Echo.Echo", &echo.Plain{ID: id, Body: body}, reply)
		return reply.ID, reply.Body, err
	}, c.Close), nil
}
