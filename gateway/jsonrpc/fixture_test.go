package jsonrpc_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/jsonrpc"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

type Operands struct{ Minuend, Subtrahend int }

// notified is where notifications arrive.
type notified chan string

// served makes a server with the methods that the tests call.
func served(t testing.TB) (*server.SGServer, notified) {
	t.Helper()
	s, err := server.NewSGServer(&server.Option{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	arrived := make(notified, 16)
	handle(t, s, "Spec.Subtract", func(_ context.Context, o *Operands) (*int, error) {
		return new(o.Minuend - o.Subtrahend), nil
	})
	handle(t, s, "Spec.Sum", func(_ context.Context, numbers *[]int) (*int, error) {
		sum := 0
		for _, n := range *numbers {
			sum += n
		}
		return &sum, nil
	})
	handle(t, s, "Spec.GetData", func(context.Context, *struct{}) (*[]any, error) {
		return &[]any{"hello", 5}, nil
	})
	for _, name := range []string{"Update", "NotifyHello", "NotifySum"} {
		handle(t, s, "Spec."+name, func(_ context.Context, params *json.RawMessage) (*struct{}, error) {
			arrived <- name + " " + string(*params)
			return new(struct{}), nil
		})
	}
	handle(t, s, "Raw.Echo", func(_ context.Context, params *json.RawMessage) (*json.RawMessage, error) {
		return params, nil
	})
	handle(t, s, "Text.Length", func(_ context.Context, text *string) (*int, error) {
		return new(len(*text)), nil
	})
	handle(t, s, "Meta.Swap", func(ctx context.Context, _ *struct{}) (*string, error) {
		auth, _ := protocol.MetaValue(ctx, protocol.MetaAuth)
		return &auth, server.SetReplyMeta(ctx, "k", "v")
	})
	handle(t, s, "Fail.With", func(_ context.Context, e *protocol.Error) (*struct{}, error) { return nil, e })
	handle(t, s, "Fail.Panic", func(context.Context, *struct{}) (*struct{}, error) { panic("no") })
	handle(t, s, "Slow.Wait", func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		arrived <- "entered"
		<-ctx.Done()
		arrived <- "ended"
		return nil, protocol.NewError(protocol.CodeOf(ctx.Err()), "waited in vain")
	})
	return s, arrived
}

func handle[Req, Resp any](t testing.TB, s *server.SGServer, name string, f func(context.Context, *Req) (*Resp, error)) {
	t.Helper()
	if err := server.Handle(s, name, f); err != nil {
		t.Fatal(err)
	}
}

// specification makes the method names of the specification's examples ours.
var specification = map[string]string{
	"subtract": "Subtract", "sum": "Sum", "get_data": "GetData",
	"update": "Update", "notify_hello": "NotifyHello", "notify_sum": "NotifySum",
}

// option has the names of the specification's examples beside our own.
func option() *jsonrpc.Option {
	return &jsonrpc.Option{
		Positional: map[string][]string{"Spec.Subtract": {"Minuend", "Subtrahend"}},
		Resolve: func(_ *http.Request, name string) (string, string, bool) {
			if method, ok := specification[name]; ok {
				return "Spec", method, true
			}
			service, method, ok := strings.Cut(name, ".")
			return service, method, ok && service != "foo"
		},
	}
}

func gatewayTo(t testing.TB, b gateway.Backend) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// handler returns a handler over b.
func handler(t testing.TB, b gateway.Backend, o *jsonrpc.Option) *jsonrpc.Handler {
	t.Helper()
	h, err := jsonrpc.NewHandler(gatewayTo(t, b), o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// post sends a body to h.
func post(t testing.TB, h http.Handler, body string) *httptest.ResponseRecorder {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answer returns what h answers with status 200.
func answer(t testing.TB, h http.Handler, body string) string {
	t.Helper()
	w := post(t, h, body)
	if w.Code != http.StatusOK {
		t.Fatalf("%s\nstatus %d: %s", body, w.Code, w.Body)
	}
	return w.Body.String()
}

// on serves h over a socket.
func on(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
