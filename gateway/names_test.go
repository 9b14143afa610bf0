package gateway_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/sinew-rpc/sinew"
	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
)

// messages is a slog.Handler that keeps what is logged, as a file would have it.
type messages struct {
	slog.Handler
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (m *messages) Enabled(context.Context, slog.Level) bool { return true }

func (m *messages) Handle(_ context.Context, r slog.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text.WriteString(r.Message + "\n")
	return nil
}

func (m *messages) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// counted is a backend that counts its calls.
type counted struct {
	gateway.Backend
	calls int
}

func (c *counted) Do(ctx context.Context, m *protocol.Message) (*protocol.Message, error) {
	c.calls++
	return c.Backend.Do(ctx, m)
}

// What no server can register gets no further than the gateway, and into no log.
func TestNamesOfNobodyAreNotPassedOn(t *testing.T) {
	const forged = "E0918 12:00:00.000000       1 main.go:1] the disk is full"
	logged := new(messages)
	sinew.SetLogger(logged)
	defer sinew.SetLogger(nil)
	op := client.DefaultSGOption
	op.Registry, op.AllowLocal, op.Mem = registry.NewPeer2PeerRegistry(), true, transport.NewMemNetwork()
	op.Wrappers = []client.Wrapper{&wrapper.Log{}}
	c, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	backend := &counted{Backend: c}
	g, err := gateway.New(backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	bridge := func(service, method string) *http.Request {
		return post("/invoke", `{}`, "Rpc-Header-Service_name", url.PathEscape(service), "Rpc-Header-Method_name", url.PathEscape(method))
	}
	for name, r := range map[string]*http.Request{
		"service":         post("/A%0A"+url.PathEscape(forged)+"/B", `{}`),
		"method":          post("/A/B%0A"+url.PathEscape(forged), `{}`),
		"bridge, service": bridge("A\n"+forged, "B"),
		"bridge, method":  bridge("A", "B\n"+forged),
		"long":            post("/A/"+strings.Repeat("x", 256), `{}`),
	} {
		res := serve(g, r)
		if outcome := res.Header.Get("Sinew-Outcome"); res.StatusCode != http.StatusNotImplemented || outcome != "NotSent" {
			t.Errorf("%s: answered %d, %s", name, res.StatusCode, outcome)
		}
	}
	for line := range strings.Lines(logged.String()) {
		if strings.HasPrefix(line, "E0918") {
			t.Errorf("logged %s", line)
		}
	}
	if backend.calls != 0 {
		t.Errorf("the backend was called %d times", backend.calls)
	}
}

// The gateway passes on what a server registers, and that alone.
func TestNamesAreThoseOfServers(t *testing.T) {
	for _, name := range []struct{ service, method string }{
		{"Arith", "Add"}, {"_a.B-2.c", "_a-2"}, {"com.example.Arith-v2", "數え"}, {"A", "Ärger"}, {"A", "a\u0661"},
		{strings.Repeat("s", 255), strings.Repeat("m", 255)},
		{strings.Repeat("s", 256), "m"}, {"s", strings.Repeat("m", 256)}, {"s", strings.Repeat("m", 254) + "ä"},
		{"1a", "m"}, {"-a", "m"}, {"Ärger", "m"}, {"a b", "m"}, {"a:b", "m"}, {"a\u2028", "m"},
		{"s", "1a"}, {"s", "-a"}, {"s", "a b"}, {"s", "a:b"}, {"s", "a\xff"}, {"s", "\u0661a"}, {"s", "a\n"}, {"s", "a\u2028"},
	} {
		s, err := server.NewSGServer(nil)
		if err != nil {
			t.Fatal(err)
		}
		taken := server.Handle(s, name.service+"."+name.method, func(context.Context, *Operands) (*Sum, error) { return new(Sum), nil })
		g, err := gateway.New(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := http.StatusOK
		if taken != nil {
			want = http.StatusNotImplemented
		}
		res := serve(g, post("/"+url.PathEscape(name.service)+"/"+url.PathEscape(name.method), `{}`))
		if res.StatusCode != want {
			t.Errorf("%.40q.%.40q: a server says %v, the gateway %d %s", name.service, name.method, taken, res.StatusCode, bodyOf(t, res))
		}
		_ = s.Close()
	}
}
