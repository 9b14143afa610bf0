package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Shop is what the providers of a governed fleet serve.
type Shop struct{ name string }

// Where tells which provider answers.
func (s *Shop) Where(_ context.Context, _ *Key, out *Value) error {
	out.Value = s.name
	return nil
}

// Busy asks its callers to try another provider, and none will do.
func (s *Shop) Busy(context.Context, *Key, *Value) error {
	return &protocol.Error{Code: protocol.Unavailable, Message: "closed for lunch", Elsewhere: true}
}

// stand is a fleet with a governed client.
type stand struct {
	net     *transport.MemNetwork
	servers map[string]*server.SGServer
	client  client.SGClient
}

// newStand has providers, each with the tag idc, served and called.
func newStand(t *testing.T, mode client.FailMode, idcs map[string]string) *stand {
	t.Helper()
	s := &stand{net: transport.NewMemNetwork(), servers: make(map[string]*server.SGServer)}
	fixed := registry.NewPeer2PeerRegistry()
	for name, idc := range idcs {
		tags := map[string]string{"idc": idc}
		one, err := server.NewSGServer(&server.Option{Mem: s.net, Tags: tags})
		if err != nil {
			t.Fatal(err)
		}
		if err := one.RegisterName("Shop", &Shop{name}); err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- one.Serve("mem", name, nil) }()
		<-one.Listening()
		t.Cleanup(func() {
			if err := errors.Join(one.Close(), <-served); !errors.Is(err, server.ErrServerClosed) {
				t.Error(err)
			}
		})
		s.servers[name] = one
		fixed = fixed.WithProvider(registry.Provider{ProviderKey: "mem@" + name, Network: "mem", Addr: name, Tags: tags})
	}
	op := client.DefaultSGOption
	op.Registry, op.AllowLocal, op.Mem = fixed, true, s.net
	if op.FailMode = mode; mode == client.FailOver {
		op.Retries = 2
	}
	op.RequestTimeout, op.AttemptTimeout, op.RetryBackoff = 2*time.Second, 100*time.Millisecond, -1
	op.Heartbeat, op.HeartbeatInterval, op.HeartbeatDegradeThreshold = true, time.Second, 2
	op.CircuitBreakerThreshold, op.CircuitBreakerWindow = 10, time.Minute
	op.Idempotent = []string{"Shop.Where", "Shop.Busy"}
	var err error
	if s.client, err = client.NewSGClient(op); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.client.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *stand) gateway(t *testing.T, option *gateway.Option) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(s.client, option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func tagged(method, idc string) *http.Request {
	return post("/Shop/"+method, `{}`, "Sinew-Tag-Idc", idc)
}

// All that governs a call holds for one that comes by a gateway of its own: its
// tags choose the provider, who is stuck or broken is left out, and the caller
// learns code and outcome.
func TestGovernedCallsThroughAGatewayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, client.FailOver, map[string]string{"p0": "lf", "p1": "lf", "p2": "hk"})
		g := s.gateway(t, nil)
		for range 20 {
			expect(t, serve(g, tagged("Where", "hk")), http.StatusOK, `{"Value":"p2","Present":false}`)
		}
		for range 20 { // connects p0 and p1
			if body := bodyOf(t, serve(g, tagged("Where", "lf"))); !strings.Contains(body, "p0") && !strings.Contains(body, "p1") {
				t.Fatalf("with the tag lf: %s", body)
			}
		}
		s.net.SetFaultsAt("p0", transport.MemFaults{ToListener: transport.MemPath{Blackhole: true}, ToDialer: transport.MemPath{Blackhole: true}})
		for range 20 { // AttemptTimeout, then p1; after ten such, p0's breaker
			expect(t, serve(g, tagged("Where", "lf")), http.StatusOK, `{"Value":"p1","Present":false}`)
		}
		time.Sleep(5 * time.Second) // p0 is degraded now
		expect(t, serve(g, tagged("Where", "lf")), http.StatusOK, `{"Value":"p1","Present":false}`)
	})
}

// What a provider said reaches the caller in its own words; who was tried, and
// where, is for those whom an option names.
func TestErrorsDoNotNameProviders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, client.FailOver, map[string]string{"p0": "lf", "p1": "lf"})
		closed, open := s.gateway(t, nil), s.gateway(t, &gateway.Option{ErrorDetails: true})
		failed := func(g *gateway.Gateway, r *http.Request, outcome string) string {
			t.Helper()
			res := serve(g, r)
			body := bodyOf(t, res)
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Sinew-Outcome") != outcome {
				t.Errorf("answered %d, %s %s; want 503, %s", res.StatusCode, res.Header.Get("Sinew-Outcome"), body, outcome)
			}
			return body
		}
		const busy = `{"code":"unavailable","message":"closed for lunch"}`
		if body := failed(closed, tagged("Busy", "lf"), "Ran"); body != busy {
			t.Errorf("told %s, want %s", body, busy)
		}
		if body := failed(open, tagged("Busy", "lf"), "Ran"); !strings.Contains(body, "closed for lunch (tried 3 times at 2 providers: mem@p") {
			t.Errorf("with details: %s", body)
		}
		const nobody = `{"code":"unavailable","message":"no provider can take the call now"}`
		if body := failed(closed, tagged("Where", "xx"), "NotSent"); body != nobody {
			t.Errorf("told %s, want %s", body, nobody)
		}
		stuck := transport.MemFaults{ToListener: transport.MemPath{Blackhole: true}}
		s.net.SetFaultsAt("p0", stuck)
		s.net.SetFaultsAt("p1", stuck)
		const late = `{"code":"deadline_exceeded","message":"no answer in time"}`
		res := serve(closed, tagged("Slow", "lf"))
		if body := bodyOf(t, res); res.StatusCode != http.StatusGatewayTimeout || body != late || res.Header.Get("Sinew-Outcome") != "MaybeRun" {
			t.Errorf("without an answer: %d %s", res.StatusCode, body)
		}
		s.net.SetFaultsAt("p0", transport.MemFaults{})
		s.net.SetFaultsAt("p1", transport.MemFaults{})
		for _, one := range s.servers {
			_ = one.Close() // Cleanup asks
		}
		time.Sleep(2 * time.Minute) // the breakers are half open
		for range 5 {
			if body := failed(closed, tagged("Where", "lf"), "NotSent"); body != nobody {
				t.Errorf("told %s, want %s", body, nobody)
			}
		}
		if body := failed(open, tagged("Where", "lf"), "NotSent"); !strings.Contains(body, "mem@p") {
			t.Errorf("with details: %s", body)
		}
		res = serve(closed, bridged("Where"))
		if text := res.Header.Get("Rpc-Header-Error"); text != "no provider can take the call now" {
			t.Errorf("by the bridge: %q", text)
		}
	})
}

// A failure that the client swallows is an empty answer, in each form.
func TestFailSafeBehindAGatewayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, client.FailSafe, map[string]string{"p0": "lf"})
		g := s.gateway(t, nil)
		expect(t, serve(g, tagged("Busy", "lf")), http.StatusOK, `{}`)
		res := serve(g, bridged("Busy"))
		expectFields(t, res, map[string]string{"seq": "0", "message_type": "1", "compress_type": "0", "serialize_type": "1", "status_code": "0", "flags": "0"})
		expect(t, res, http.StatusOK, ``)
	})
}

func bridged(method string) *http.Request {
	return invoke([]byte("{}"), map[string]string{"serialize_type": "1", "service_name": "Shop", "method_name": method})
}
