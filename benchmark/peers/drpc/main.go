// Command drpc measures storj.io/drpc.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcserver"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
	"github.com/sinew-rpc/sinew/benchmark/peers/drpc/echopb"
)

func main() {
	os.Exit(load.Main(load.Row{
		Name:     "drpc",
		Module:   "storj.io/drpc",
		Settings: "default options; generated protobuf (google.golang.org/protobuf); a connection per caller, because a drpc connection carries one call at a time; a timeout is the context's",
		Timeouts: []load.Timeout{load.TimeoutIgnored, load.TimeoutContext},
		Serve:    serve,
		Dial:     func(o load.DialOptions) (load.Client, error) { return &client{addr: o.Addr}, nil },
	}))
}

type service struct{}

// Echo returns the request.
func (service) Echo(_ context.Context, request *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	return &echopb.EchoResponse{Id: request.Id, Body: request.Body}, nil
}

func serve(ln net.Listener) error {
	m := drpcmux.New()
	if err := echopb.DRPCRegisterEcho(m, service{}); err != nil {
		return err
	}
	return drpcserver.New(m).Serve(context.Background(), ln)
}

// client is a pool with a connection for each caller.
type client struct {
	addr string

	mu    sync.Mutex
	conns []*drpcconn.Conn // guarded by mu
}

func (c *client) Caller() (load.Call, error) {
	socket, err := net.Dial("tcp4", c.addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	conn := drpcconn.New(socket)
	c.mu.Lock()
	c.conns = append(c.conns, conn)
	c.mu.Unlock()
	stub := echopb.NewDRPCEchoClient(conn)
	return func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply, err := stub.Echo(ctx, &echopb.EchoRequest{Id: id, Body: body})
		return reply.GetId(), reply.GetBody(), err
	}, nil
}

func (c *client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for _, conn := range c.conns {
		err = errors.Join(err, conn.Close())
	}
	return err
}
