package client

import (
	"context"
	"errors"

	"github.com/sinew-rpc/sinew/registry"
)

// rpcClient is a client of one provider.
type rpcClient struct {
	*core
	conn     *connection
	provider registry.Provider // as attempts see it
	bare     bool              // there are no wrappers
}

var _ RPCClient = (*rpcClient)(nil)

// NewRPCClient returns a client of the provider at addr, which is what network
// dials: tcp, tcp4, tcp6, tls, unix, ws, wss or mem. It does not dial: the first
// call does. A nil op stands for a zero Option. The error is an *OptionError, or a
// *transport.UnknownNetworkError.
func NewRPCClient(network, addr string, op *Option) (RPCClient, error) {
	if op == nil {
		op = new(Option)
	}
	option, err := op.complete()
	if err != nil {
		return nil, err
	}
	if err := option.refuseNetwork(network); err != nil {
		return nil, err
	}
	if addr == "" {
		return nil, errors.New("client: the address is empty: pass what the network dials")
	}
	c := &rpcClient{core: newCore(SGOption{Option: option}), bare: len(option.Wrappers) == 0}
	c.provider = registry.Provider{ProviderKey: registry.JoinKey(network, addr), Network: network, Addr: addr}
	c.conn = newConnection(c.core, network, addr)
	if err := c.compose(c.end()); err != nil {
		c.conn.cancel()
		return nil, err
	}
	return c, nil
}

// Call implements Caller. Without wrappers nobody sees the context of the call, so
// that RequestTimeout needs none.
func (c *rpcClient) Call(ctx context.Context, serviceMethod string, req, resp any) error {
	if !c.bare {
		return c.core.Call(ctx, serviceMethod, req, resp)
	}
	if ctx.Err() != nil {
		return endedBefore(ctx)
	}
	pc := perCallOf(ctx)
	if pc.err != nil {
		return funnel(pc.err)
	}
	in := c.gate.enter()
	if in == nil {
		return tooLate()
	}
	defer c.gate.leave(in)
	return funnel(c.conn.call(ctx, pc, nil, c.option.RequestTimeout, serviceMethod, req, resp))
}

// end is the end of the chain: a closure, since a method value is one more frame
// on the stack of who waits.
func (c *rpcClient) end() CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		if err := c.gate.refusal(ctx); err != nil {
			return err
		}
		pc := perCallOf(ctx)
		if pc.err != nil {
			return pc.err
		}
		if c.attempts == nil {
			return c.conn.call(ctx, pc, nil, 0, serviceMethod, req, resp)
		}
		return c.attempt(ctx, pc, serviceMethod, req, resp)
	}
}

// attempt makes the call's one attempt through the wrappers that want it.
func (c *rpcClient) attempt(ctx context.Context, pc *perCall, serviceMethod string, req, resp any) error {
	return c.attempts(ctx, &Attempt{Provider: c.provider, ServiceMethod: serviceMethod, conn: c.conn, target: target{call: pc}, req: req, resp: resp})
}

// Shutdown implements RPCClient.
func (c *rpcClient) Shutdown(ctx context.Context) error {
	cut := c.gate.close(ctx)
	err := c.conn.drain(ctx, ErrClosed)
	return errors.Join(cut, err, c.Close())
}

// Close implements RPCClient.
func (c *rpcClient) Close() error {
	c.conn.cut(ErrClosed)
	c.markClosed()
	c.conn.close(ErrClosed)
	c.workers.Close()
	return nil
}
