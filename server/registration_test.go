package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// moodyRegistry fails for a while, or hangs for ever, before it is a memory
// registry; it notes what was said to it.
type moodyRegistry struct {
	*memory.Registry
	failures atomic.Int32
	hang     chan struct{} // not nil: calls return when it is closed, whatever ctx says
	drained  atomic.Bool
}

func (r *moodyRegistry) Register(ctx context.Context, o registry.RegisterOption, p ...registry.Provider) error {
	if r.hang != nil {
		<-r.hang
		return errors.New("too late")
	}
	if r.failures.Add(-1) >= 0 {
		return errors.New("connection refused")
	}
	if p[0].Draining {
		r.drained.Store(true)
	}
	return r.Registry.Register(ctx, o, p...)
}

func (r *moodyRegistry) Unregister(ctx context.Context, o registry.RegisterOption, p ...registry.Provider) error {
	if r.hang != nil {
		<-r.hang
	}
	return r.Registry.Unregister(ctx, o, p...)
}

func providers(t *testing.T, r registry.Registry) []registry.Provider {
	t.Helper()
	ps, _, err := r.Providers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func TestRegistrationOverItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &moodyRegistry{Registry: memory.NewRegistry("app")}
		defer r.Close()
		r.failures.Store(5)
		s, mem := on(t, server.Option{
			Registry:       r,
			RegisterOption: registry.RegisterOption{AppKey: "app"},
			Tags:           map[string]string{"idc": "lf"},
			TagsOptional:   true,
		})
		if ok, err := s.Registered(); ok || err != nil {
			t.Errorf("before Serve: %v, %v", ok, err)
		}
		begun := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- s.Serve("mem", "server", map[string]string{"weight": "3", "version": "v1"}) }()
		<-s.Listening()
		synctest.Wait()
		if ok, err := s.Registered(); ok || err == nil {
			t.Errorf("while the registry refuses: %v, %v", ok, err)
		}
		dial(t, mem, nil).add(t) // a dead registry keeps nobody from calling
		time.Sleep(10 * time.Second)
		if ok, err := s.Registered(); !ok || err != nil {
			t.Fatalf("when the registry is back: %v, %v", ok, err)
		}
		ps := providers(t, r)
		if len(ps) != 1 {
			t.Fatalf("%d providers", len(ps))
		}
		p := ps[0]
		if p.ProviderKey != "mem@server" || p.Weight != 3 || p.Version != "v1" || p.Tags["idc"] != "lf" || !p.Started.Equal(begun) || len(p.Services) != 1 || p.Services[0].Name != "Arith" {
			t.Errorf("registered as %+v", p)
		}
		if err := s.RegisterName("Later", Arith{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if p := providers(t, r)[0]; len(p.Services) != 2 {
			t.Errorf("a service registered while serving is not listed: %v", p.Services)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
		if !r.drained.Load() || len(providers(t, r)) != 0 {
			t.Errorf("marked as draining: %v; left: %v", r.drained.Load(), providers(t, r))
		}
	})
}

// TestHungRegistryHoldsNothingUp: calls of the registry never return, and the
// server serves and ends all the same.
func TestHungRegistryHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &moodyRegistry{Registry: memory.NewRegistry(""), hang: make(chan struct{})}
		s, mem := on(t, server.Option{Registry: r})
		running(t, s)
		dial(t, mem, nil).add(t)
		begun := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 1020*time.Millisecond {
			t.Errorf("Shutdown took %v, want the second that the registry is waited for, and 20ms for who comes late", took)
		}
		close(r.hang)
		r.Close()
	})
}

func TestCloseUnregisters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegistry("")
		defer r.Close()
		s, _ := on(t, server.Option{Registry: r})
		running(t, s)
		synctest.Wait()
		if len(providers(t, r)) != 1 {
			t.Fatal("not registered")
		}
		s.Close()
		if ps := providers(t, r); len(ps) != 0 {
			t.Errorf("left behind: %v", ps)
		}
	})
}

func TestListenerThatFailsIsUnregistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegistry("")
		defer r.Close()
		s, mem := on(t, server.Option{Registry: r})
		running(t, s)
		ln, err := mem.Listen("other")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.ServeListener(ln, nil) }()
		synctest.Wait()
		if n := len(providers(t, r)); n != 2 {
			t.Errorf("%d addresses are registered, want 2", n)
		}
		ln.Close()
		if err := <-ended; errors.Is(err, server.ErrServerClosed) {
			t.Error("the server is not closed")
		}
		if ps := providers(t, r); len(ps) != 1 || ps[0].Addr != "server" {
			t.Errorf("left in the registry: %v", ps)
		}
		if ok, err := s.Registered(); !ok || err != nil {
			t.Errorf("the address that is left: %v, %v", ok, err)
		}
	})
}

// anyListener hides what a listener is.
type anyListener struct{ net.Listener }

func TestServeListenerNamesItsNetwork(t *testing.T) {
	serverTLS, _ := testutil.Certificates(t)
	for _, c := range []struct {
		name string
		wrap func(net.Listener) net.Listener
		meta map[string]string
		key  string // prefix of the provider's; empty: refused
	}{
		{"tcp", func(ln net.Listener) net.Listener { return ln }, nil, "tcp@127.0.0.1:"},
		{"tls without a word", func(ln net.Listener) net.Listener { return tls.NewListener(ln, serverTLS) }, nil, ""},
		{"tls", func(ln net.Listener) net.Listener { return tls.NewListener(ln, serverTLS) }, map[string]string{"network": "tls"}, "tls@127.0.0.1:"},
		{"unknown", func(ln net.Listener) net.Listener { return anyListener{ln} }, nil, ""},
		{"unknown, named", func(ln net.Listener) net.Listener { return anyListener{ln} }, map[string]string{"network": "ws"}, "ws@127.0.0.1:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := memory.NewRegistry("")
			defer r.Close()
			s, _ := on(t, server.Option{Registry: r})
			inner, err := transport.Listen("tcp", "127.0.0.1:0", transport.ListenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.ServeListener(c.wrap(inner), c.meta) }()
			<-s.Listening()
			if c.key == "" {
				if err := <-ended; err == nil || !strings.Contains(err.Error(), `meta["network"]`) {
					t.Errorf("ServeListener returned %v", err)
				}
				if _, err := inner.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Error("the refused listener was left open")
				}
				return
			}
			if key := listed(t, r).ProviderKey; !strings.HasPrefix(key, c.key) {
				t.Errorf("registered as %s", key)
			}
			s.Close()
			<-ended
		})
	}
}

func TestWildcardAddressIsRegisteredAsOneToDial(t *testing.T) {
	for advertise, want := range map[string]string{"": "", "example.org": "example.org"} {
		r := memory.NewRegistry("")
		s, err := server.NewSGServer(&server.Option{Registry: r, RegisterOption: registry.RegisterOption{Advertise: advertise}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Serve("tcp4", ":0", nil) }()
		<-s.Listening()
		for ok := false; !ok; ok, _ = s.Registered() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			<-ctx.Done()
			cancel()
		}
		host, _, err := net.SplitHostPort(providers(t, r)[0].Addr)
		if err != nil || want != "" && host != want || want == "" && (net.ParseIP(host) == nil || net.ParseIP(host).IsUnspecified()) {
			t.Errorf("advertising %q: registered as %s (%v)", advertise, host, err)
		}
		s.Close()
		<-ended
		r.Close()
	}
}
