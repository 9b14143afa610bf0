package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// errSoldOut keeps its identity across the wire.
var errSoldOut = errors.New("e2e: sold out")

// form is what one serializer carries, behind functions that do not depend on
// its type.
type form struct {
	name      string
	serialize protocol.SerializeType
	serve     func(*server.SGServer, *atomic.Int32) error
	answer    func(client.RPCClient) error // serves "Back" at the client
	call      func(ctx context.Context, c client.Caller, method string, data []byte) ([]byte, error)
	notify    func(ctx context.Context, c client.RPCClient, method string) error
}

// newForm makes a form of messages of type T.
func newForm[T any](name string, st protocol.SerializeType, pack func([]byte) *T, unpack func(*T) []byte) form {
	service := func(method string) string { return name + "." + method }
	return form{
		name:      name,
		serialize: st,
		serve: func(s *server.SGServer, notes *atomic.Int32) error {
			return errors.Join(
				server.Handle(s, service("Echo"), func(ctx context.Context, req *T) (*T, error) {
					v, _ := protocol.MetaValue(ctx, "ask")
					return req, server.SetReplyMeta(ctx, "answer", v)
				}),
				server.Handle(s, service("Fail"), func(context.Context, *T) (*T, error) {
					return nil, &protocol.Error{Code: protocol.NotFound, Message: "not here", MetaData: map[string]string{"where": "there"}}
				}),
				server.Handle(s, service("SoldOut"), func(context.Context, *T) (*T, error) {
					return nil, fmt.Errorf("tickets: %w", errSoldOut)
				}),
				server.Handle(s, service("Note"), func(_ context.Context, req *T) (*T, error) {
					notes.Add(1)
					return req, nil
				}),
				server.Handle(s, service("CallBack"), func(ctx context.Context, req *T) (*T, error) {
					res := new(T)
					return res, server.PeerFrom(ctx).Call(ctx, service("Back"), req, res)
				}),
			)
		},
		answer: func(c client.RPCClient) error {
			return client.Handle(c, service("Back"), func(_ context.Context, req *T) (*T, error) {
				return pack(append([]byte("back: "), unpack(req)...)), nil
			})
		},
		call: func(ctx context.Context, c client.Caller, method string, data []byte) ([]byte, error) {
			res, err := client.Invoke[T](ctx, c, service(method), pack(data))
			if err != nil {
				return nil, err
			}
			return unpack(res), nil
		},
		notify: func(ctx context.Context, c client.RPCClient, method string) error {
			return c.Notify(ctx, service(method), pack([]byte("note")))
		},
	}
}

func forms() []form {
	packBody := func(b []byte) *echo.Body { return &echo.Body{ID: int64(len(b)), Data: b} }
	unpackBody := func(b *echo.Body) []byte { return b.Data }
	return []form{
		newForm("Msgpack", protocol.SerializeTypeMsgpack, packBody, unpackBody),
		newForm("JSON", protocol.SerializeTypeJSON, packBody, unpackBody),
		newForm("Protobuf", protocol.SerializeTypeProtobuf, wrapperspb.Bytes, (*wrapperspb.BytesValue).GetValue),
		newForm("Raw", protocol.SerializeTypeRaw, func(b []byte) *[]byte { return &b }, func(b *[]byte) []byte { return *b }),
	}
}

// place is where one transport is served, and how it is reached.
type place struct {
	network, addr string
	server        server.Option
	client        client.Option
}

func places(t *testing.T) []place {
	serverTLS, clientTLS := testutil.Certificates(t)
	mem := transport.NewMemNetwork()
	return []place{
		{network: "tcp", addr: "127.0.0.1:0"},
		{network: "tls", addr: "127.0.0.1:0", server: server.Option{TLSConfig: serverTLS}, client: client.Option{TLSConfig: clientTLS}},
		{network: "unix", addr: filepath.Join(t.TempDir(), "s")},
		{network: "ws", addr: "127.0.0.1:0"},
		{network: "wss", addr: "127.0.0.1:0/rpc", server: server.Option{TLSConfig: serverTLS}, client: client.Option{TLSConfig: clientTLS}},
		{network: "mem", addr: "matrix", server: server.Option{Mem: mem}, client: client.Option{Mem: mem}},
	}
}

// Every serializer, with every compressor, over every transport, does all that
// a call can do.
func TestMatrix(t *testing.T) {
	if err := protocol.RegisterError("e2e.sold-out", errSoldOut); err != nil {
		t.Fatal(err)
	}
	compressors := []protocol.CompressType{
		protocol.CompressTypeNone, protocol.CompressTypeGzip, protocol.CompressTypeSnappy, protocol.CompressTypeZstd,
	}
	for i, p := range places(t) {
		t.Run(p.network, func(t *testing.T) {
			for j, f := range forms() {
				for k, ct := range compressors {
					// The core sends large bodies in one cell of four: in each pair
					// of serializer, compressor and transport once.
					large := !testing.Short() || (i+j+k)%4 == 0
					t.Run(f.name+"/"+ct.String(), func(t *testing.T) { runMatrixCell(t, p, f, ct, large) })
				}
			}
		})
	}
}

func runMatrixCell(t *testing.T, p place, f form, ct protocol.CompressType, large bool) {
	var notes atomic.Int32
	p.server.SerializeType, p.server.CompressType = f.serialize, ct
	p.server.RequestTimeout, p.client.RequestTimeout = time.Minute, time.Minute
	s := newServer(t, p.server)
	if err := f.serve(s, &notes); err != nil {
		t.Fatal(err)
	}
	p.client.SerializeType, p.client.CompressType = f.serialize, ct
	c := dial(t, p.network, serve(t, s, p.network, p.addr), p.client)
	if err := f.answer(c); err != nil {
		t.Fatal(err)
	}
	checkReplies(t, c, f, []byte("small"))
	if large {
		checkReplies(t, c, f, bytes.Repeat([]byte("sinew carries what it is given. "), 1<<20/32))
	}
	checkErrors(t, c, f)
	if err := f.notify(t.Context(), c, "Note"); err != nil {
		t.Errorf("a oneway: %v", err)
	}
	if err := c.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown of the client: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil { // waits for the oneway
		t.Errorf("Shutdown of the server: %v", err)
	}
	if n := notes.Load(); n != 1 {
		t.Errorf("a oneway ran %d times", n)
	}
}

func checkReplies(t *testing.T, c client.RPCClient, f form, data []byte) {
	t.Helper()
	var meta map[string]string
	ctx := protocol.WithMeta(client.With(t.Context(), client.ReplyMeta(&meta)), "ask", "why")
	got, err := f.call(ctx, c, "Echo", data)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes: %d came back, %v", len(data), len(got), err)
	}
	if len(meta) != 1 || meta["answer"] != "why" {
		t.Errorf("%d bytes: reply metadata %v", len(data), meta)
	}
	got, err = f.call(t.Context(), c, "CallBack", data)
	if err != nil || string(got) != "back: "+string(data) {
		t.Errorf("%d bytes to the client: %d came back, %v", len(data), len(got), err)
	}
}

func checkErrors(t *testing.T, c client.RPCClient, f form) {
	t.Helper()
	_, err := f.call(t.Context(), c, "Fail", nil)
	wantError(t, err, protocol.NotFound, protocol.Ran)
	var e *protocol.Error
	if errors.As(err, &e) && (e.MetaData["where"] != "there" || e.Message != "not here") {
		t.Errorf("an error's text %q and metadata %v", e.Message, e.MetaData)
	}
	_, err = f.call(t.Context(), c, "SoldOut", nil)
	wantError(t, err, protocol.Unknown, protocol.Ran)
	if !errors.Is(err, errSoldOut) {
		t.Errorf("%v is not the sentinel", err)
	}
	_, err = f.call(t.Context(), c, "Absent", nil)
	wantError(t, err, protocol.Unimplemented, protocol.Refused)
}
