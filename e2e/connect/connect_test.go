package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Arith is what is called.
type Arith struct{ waiting chan error }

type Operands struct{ A, B int64 }

type Sum struct{ C int64 }

func (*Arith) Add(ctx context.Context, in *Operands, out *Sum) error {
	out.C = in.A + in.B
	tenant, _ := protocol.MetaValue(ctx, "x-tenant")
	return server.SetReplyMeta(ctx, "x-served-for", tenant)
}

func (*Arith) Divide(_ context.Context, in *Operands, out *Sum) error {
	if in.B == 0 {
		return &protocol.Error{Code: protocol.OutOfRange, Message: "division by zero", MetaData: map[string]string{"x-hint": "B must not be 0"}}
	}
	out.C = in.A / in.B
	return nil
}

func (a *Arith) Wait(ctx context.Context, _ *Operands, _ *Sum) error {
	<-ctx.Done()
	a.waiting <- ctx.Err()
	return ctx.Err()
}

type Text struct{ Text string }

func (*Arith) Repeat(_ context.Context, in, out *Text) error {
	out.Text = strings.Repeat(in.Text, 1000)
	return nil
}

// plainJSON is a codec of encoding/json for Go structs, as a user of Connect
// without an IDL has one.
type plainJSON struct{}

func (plainJSON) Name() string                       { return "json" }
func (plainJSON) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (plainJSON) Unmarshal(body []byte, v any) error { return json.Unmarshal(body, v) }

// start serves a gateway in place, over HTTP/1.1 or HTTP/2.
func start(t *testing.T, place string, http2 bool) (*httptest.Server, *Arith) {
	t.Helper()
	arith := &Arith{waiting: make(chan error, 1)}
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(arith); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("mem", "arith", nil) }()
	<-s.Listening()
	t.Cleanup(func() { s.Close(); <-served })
	backend := gateway.Backend(s)
	if place == "alone" {
		op := client.DefaultSGOption
		op.Registry = registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{Network: "mem", Addr: "arith"})
		op.AllowLocal, op.Mem = true, network
		c, err := client.NewSGClient(op)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		backend = c
	}
	g, err := gateway.New(backend, &gateway.Option{Headers: []string{"X-Tenant"}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(g)
	if http2 {
		web.EnableHTTP2 = true
		web.StartTLS()
	} else {
		web.Start()
	}
	t.Cleanup(web.Close)
	return web, arith
}

// everywhere runs f for both places and both versions of HTTP.
func everywhere(t *testing.T, f func(t *testing.T, web *httptest.Server, arith *Arith)) {
	for _, place := range []string{"beside", "alone"} {
		for name, http2 := range map[string]bool{"HTTP 1.1": false, "HTTP 2": true} {
			t.Run(place+" "+name, func(t *testing.T) {
				web, arith := start(t, place, http2)
				f(t, web, arith)
			})
		}
	}
}

func newClient[Req, Res any](web *httptest.Server, method string, options ...connect.ClientOption) *connect.Client[Req, Res] {
	return connect.NewClient[Req, Res](web.Client(), web.URL+"/Arith/"+method, append(options, connect.WithCodec(plainJSON{}))...)
}

func TestUnaryCall(t *testing.T) {
	everywhere(t, func(t *testing.T, web *httptest.Server, _ *Arith) {
		request := connect.NewRequest(&Operands{A: 1 << 53, B: 1})
		request.Header().Set("X-Tenant", "acme")
		res, err := newClient[Operands, Sum](web, "Add").CallUnary(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if res.Msg.C != 1<<53+1 || res.Header().Get("X-Served-For") != "acme" {
			t.Errorf("got %+v, %v", res.Msg, res.Header())
		}
	})
}

func TestErrorWithItsCode(t *testing.T) {
	everywhere(t, func(t *testing.T, web *httptest.Server, _ *Arith) {
		for _, test := range []struct {
			method string
			code   connect.Code
			text   string
		}{
			{"Divide", connect.CodeOutOfRange, "division by zero"},
			{"Subtract", connect.CodeUnimplemented, `unknown method "Arith.Subtract"`},
		} {
			_, err := newClient[Operands, Sum](web, test.method).CallUnary(t.Context(), connect.NewRequest(&Operands{A: 1}))
			var wire *connect.Error
			if !errors.As(err, &wire) || !connect.IsWireError(err) {
				t.Fatalf("%s: %v", test.method, err)
			}
			if wire.Code() != test.code || wire.Message() != test.text {
				t.Errorf("%s: %v %q, want %v %q", test.method, wire.Code(), wire.Message(), test.code, test.text)
			}
			if test.method == "Divide" && (wire.Meta().Get("X-Hint") != "B must not be 0" || wire.Meta().Get("Sinew-Outcome") != "Ran") {
				t.Errorf("metadata %v", wire.Meta())
			}
		}
	})
}

// Every code arrives as the one of its name.
func TestEveryCode(t *testing.T) {
	for code := protocol.Canceled; code <= protocol.Unauthenticated; code++ {
		if name := connect.Code(code).String(); name != gateway.CodeName(code) {
			t.Errorf("%v is called %q here and %q by Connect", code, gateway.CodeName(code), name)
		}
	}
}

func TestDeadline(t *testing.T) {
	everywhere(t, func(t *testing.T, web *httptest.Server, arith *Arith) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := newClient[Operands, Sum](web, "Wait").CallUnary(ctx, connect.NewRequest(&Operands{}))
		if connect.CodeOf(err) != connect.CodeDeadlineExceeded {
			t.Errorf("%v", err)
		}
		if err := <-arith.waiting; err == nil {
			t.Error("the handler's context did not end")
		}
	})
}

// The deadline is known on the far side: a caller whose clock stands still is
// answered too.
func TestDeadlineIsTold(t *testing.T) {
	everywhere(t, func(t *testing.T, web *httptest.Server, arith *Arith) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL+"/Arith/Wait", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Connect-Protocol-Version", "1")
		request.Header.Set("Connect-Timeout-Ms", "50")
		res, err := web.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("answered %d", res.StatusCode)
		}
		<-arith.waiting
	})
}

func TestCompressedBothWays(t *testing.T) {
	everywhere(t, func(t *testing.T, web *httptest.Server, _ *Arith) {
		text := strings.Repeat("sinew ", 1000)
		c := newClient[Text, Text](web, "Repeat", connect.WithSendGzip())
		res, err := c.CallUnary(t.Context(), connect.NewRequest(&Text{text}))
		if err != nil || res.Msg.Text != strings.Repeat(text, 1000) {
			t.Errorf("%v", err)
		}
	})
}
