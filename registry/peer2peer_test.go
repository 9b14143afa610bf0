package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
)

func provider(key string) registry.Provider { return registry.Provider{ProviderKey: key} }

func keys(ps []registry.Provider) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.ProviderKey)
	}
	return fmt.Sprint(out)
}

func TestPeer2PeerIsAFixedList(t *testing.T) {
	r := registry.NewPeer2PeerRegistry().WithProvider(provider("tcp@b:1")).WithProvider(provider("tcp@a:1"), provider("tcp@b:1"))
	ctx := t.Context()
	if err := r.Register(ctx, registry.RegisterOption{AppKey: "any"}, provider("tcp@c:1")); err != nil {
		t.Errorf("Register: %v", err)
	}
	if err := r.Unregister(ctx, registry.RegisterOption{}, provider("tcp@a:1")); err != nil {
		t.Errorf("Unregister: %v", err)
	}
	ps, state, err := r.Providers(ctx)
	if err != nil || keys(ps) != "[tcp@a:1 tcp@b:1]" || state.Status != registry.Fresh {
		t.Errorf("Providers = %v, %v, %v, want a and b, fresh", keys(ps), state, err)
	}
	if ps[0].Network != "tcp" || ps[0].Addr != "a:1" {
		t.Errorf("the key was not taken apart: %+v", ps[0])
	}
	ps[0].Addr = "spoilt"
	if again, _, _ := r.Providers(ctx); again[0].Addr != "a:1" {
		t.Error("writing into the result changed the list")
	}
}

func TestPeer2PeerWatch(t *testing.T) {
	r := registry.NewPeer2PeerRegistry()
	w, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.Next(t.Context())
	if err != nil || len(first.Providers) != 0 {
		t.Fatalf("the first snapshot is %+v, %v, want an empty list", first, err)
	}
	r.WithProvider(provider("tcp@a:1"))
	second, err := w.Next(t.Context())
	if err != nil || keys(second.Providers) != "[tcp@a:1]" || second.Revision <= first.Revision {
		t.Errorf("after WithProvider: %+v, %v", second, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Next(t.Context()); !errors.Is(err, registry.ErrClosed) {
		t.Errorf("Next after Close: %v, want ErrClosed", err)
	}
	if err := r.Register(t.Context(), registry.RegisterOption{}); !errors.Is(err, registry.ErrClosed) {
		t.Errorf("Register after Close: %v, want ErrClosed", err)
	}
}

func TestPeer2PeerReportsWhatItCannotList(t *testing.T) {
	r := registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{Addr: "a:1"}).WithProvider(provider("tcp@b:1"))
	var invalid *registry.ProviderError
	if _, _, err := r.Providers(t.Context()); !errors.As(err, &invalid) {
		t.Errorf("Providers: %v, want a *ProviderError", err)
	}
	if _, err := r.Watch(); !errors.As(err, &invalid) {
		t.Errorf("Watch: %v, want a *ProviderError", err)
	}
	if err := r.Register(t.Context(), registry.RegisterOption{}); !errors.As(err, &invalid) {
		t.Errorf("Register: %v, want a *ProviderError", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Register(ended, registry.RegisterOption{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Register with an ended context: %v", err)
	}
}

// Service and protocol.ServiceInfo are one shape in two packages that do not
// know each other: this compiles only while each field converts.
func TestServiceHasTheShapeOfServiceInfo(t *testing.T) {
	s := registry.Service{Name: "Arith", Methods: []registry.Method{{Name: "Add", Request: "In", Response: "Out"}}}
	info := protocol.ServiceInfo{Name: s.Name}
	for _, m := range s.Methods {
		info.Methods = append(info.Methods, protocol.MethodInfo(m))
	}
	if got := fmt.Sprintf("%+v", info); got != fmt.Sprintf("%+v", s) {
		t.Errorf("converted to %s, want %+v", got, s)
	}
}

func ExamplePeer2PeerRegistry() {
	r := registry.NewPeer2PeerRegistry().
		WithProvider(registry.Provider{ProviderKey: "tcp@127.0.0.1:8888", Network: "tcp", Addr: "127.0.0.1:8888"}).
		WithProvider(registry.Provider{Network: "unix", Addr: "/run/arith.sock", Weight: 3})
	defer r.Close()

	providers, state, err := r.Providers(context.Background())
	fmt.Println(state, err)
	for _, p := range providers {
		fmt.Println(p.ProviderKey, p.Weight)
	}
	// Output:
	// fresh <nil>
	// tcp@127.0.0.1:8888 0
	// unix@/run/arith.sock 3
}
