package client

import (
	"context"
	"fmt"

	"github.com/sinew-rpc/sinew/internal/endpoint"
)

// Handle registers f under name, "Service.Method", for every provider that c is
// connected to, and will be, to call. Calls of f run concurrently; a nil reply
// without an error is answered as Internal. It fails, and registers nothing,
// for a name that is taken or not allowed, and for a c that no constructor of
// this package made.
func Handle[Req, Resp any](c RPCClient, name string, f func(context.Context, *Req) (*Resp, error)) error {
	serves, ok := c.(interface{ served() *endpoint.Table })
	if !ok {
		return fmt.Errorf("client: Handle(%q): %T serves nothing: pass what NewRPCClient or NewSGClient returned", name, c)
	}
	return serves.served().Handle(name, endpoint.NewTyped(f))
}

// Register implements RPCClient.
func (c *core) Register(rcvr any) error { return c.table.Register("", rcvr) }

// RegisterName implements RPCClient.
func (c *core) RegisterName(name string, rcvr any) error { return c.table.Register(name, rcvr) }

func (c *core) served() *endpoint.Table { return &c.table }
