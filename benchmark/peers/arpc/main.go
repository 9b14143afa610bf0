// Command arpc measures github.com/lesismal/arpc.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/lesismal/arpc"
	"github.com/lesismal/arpc/codec"
	"github.com/lesismal/arpc/log"

	"github.com/sinew-rpc/sinew/benchmark/internal/echo"
	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

const method = "Echo"

var timeouts = []load.Timeout{load.TimeoutIgnored, load.TimeoutRequest, load.TimeoutContext}

func main() {
	// Its log would report the end of the connection as an error.
	log.SetLevel(log.LevelNone)
	arpc.EnablePool(true)
	codec.SetCodec(generated{})
	os.Exit(load.Main(
		row("arpc", "a goroutine per request (handler registered as async)", true),
		row("arpc/inline", "its default: handlers run one after the other on the connection's reader, so a slow one holds up all others", false),
	))
}

func row(name, handlers string, async bool) load.Row {
	return load.Row{
		Name:     name,
		Module:   "github.com/lesismal/arpc",
		Settings: "EnablePool and AsyncResponse, as in its own benchmark; " + handlers + "; msgpack by msgp's generated methods; one connection",
		Timeouts: timeouts,
		Serve:    func(ln net.Listener) error { return serve(ln, async) },
		Dial:     dial,
	}
}

// generated is a codec of messages that carry msgp's methods.
type generated struct{}

func (generated) Marshal(v any) ([]byte, error) {
	m, ok := v.(*echo.Message)
	if !ok {
		return nil, fmt.Errorf("encode: %T is not *echo.Message", v)
	}
	return m.MarshalMsg(nil)
}

func (generated) Unmarshal(data []byte, v any) error {
	m, ok := v.(*echo.Message)
	if !ok {
		return fmt.Errorf("decode: %T is not *echo.Message", v)
	}
	_, err := m.UnmarshalMsg(data)
	return err
}

func serve(ln net.Listener, async bool) error {
	s := arpc.NewServer()
	s.Handler.SetAsyncResponse(true)
	s.Handler.Handle(method, answer, async)
	return s.Serve(ln)
}

func answer(ctx *arpc.Context) {
	request := &echo.Message{}
	if err := ctx.Bind(request); err != nil {
		_ = ctx.Error(err) // the caller's loop reports a call that stays unanswered
		return
	}
	_ = ctx.Write(request)
}

func dial(o load.DialOptions) (load.Client, error) {
	c, err := arpc.NewClient(func() (net.Conn, error) { return net.Dial("tcp4", o.Addr) })
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	stop := func() error { c.Stop(); return nil }
	call := c.CallWith
	if o.RequestTimeout > 0 {
		call = func(_ context.Context, method string, request, reply any, args ...any) error {
			return c.Call(method, request, reply, o.RequestTimeout, args...)
		}
	}
	return load.Shared(func(ctx context.Context, id int64, body []byte) (int64, []byte, error) {
		reply := &echo.Message{}
		err := call(ctx, method, &echo.Message{ID: id, Body: body}, reply)
		return reply.ID, reply.Body, err
	}, stop), nil
}
