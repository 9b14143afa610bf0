package memory_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/registry/registrytest"
)

func TestContract(t *testing.T) {
	registrytest.Run(t, func(*testing.T) registry.Registry {
		return memory.NewRegistry(registrytest.AppKey)
	})
}

func TestEmptyAppKeyAgreesWithAll(t *testing.T) {
	r := memory.NewRegistry("")
	p := registry.Provider{Network: "mem", Addr: "a"}
	if err := r.Register(t.Context(), registry.RegisterOption{AppKey: "any"}, p); err != nil {
		t.Fatal(err)
	}
	ps, state, err := r.Providers(t.Context())
	if err != nil || len(ps) != 1 || ps[0].ProviderKey != "mem@a" || state.Status != registry.Fresh {
		t.Errorf("Providers = %+v, %v, %v, want mem@a, fresh", ps, state, err)
	}
}

// Users run clients and servers in synctest bubbles; a watcher must be durably
// blocked there, and wake at once.
func TestWatchInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegistry("app")
		w, err := r.Watch()
		if err != nil {
			t.Fatal(err)
		}
		seen := make(chan int, 8)
		go func() {
			defer close(seen)
			for {
				s, err := w.Next(t.Context())
				if err != nil {
					return
				}
				seen <- len(s.Providers)
			}
		}()
		synctest.Wait()
		_ = r.Register(t.Context(), registry.RegisterOption{}, registry.Provider{Network: "mem", Addr: "a"}, registry.Provider{Network: "mem", Addr: "b"})
		synctest.Wait()
		_ = r.Close()
		var counts []int
		for n := range seen {
			counts = append(counts, n)
		}
		if fmt.Sprint(counts) != "[0 2]" {
			t.Errorf("the watcher saw lists of %v, want [0 2]", counts)
		}
	})
}

// Of those that unregistered the last ones are named, until they are back.
func TestWhoLeftIsNamed(t *testing.T) {
	r := memory.NewRegistry("app")
	defer r.Close()
	var o registry.RegisterOption
	at := func(i int) registry.Provider { return registry.Provider{Network: "mem", Addr: fmt.Sprint(i)} }
	const many = 300
	for i := range many {
		if err := r.Register(t.Context(), o, at(i)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second finds nothing
			if err := r.Unregister(t.Context(), o, at(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Register(t.Context(), o, at(many-1)); err != nil {
		t.Fatal(err)
	}
	w, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Next(t.Context())
	if err != nil || len(s.Left) != 255 || !slices.Contains(s.Left, "mem@298") || slices.Contains(s.Left, "mem@299") || slices.Contains(s.Left, "mem@0") {
		t.Errorf("%d left, %v: %q", len(s.Left), err, s.Left)
	}
}

func ExampleNewRegistry() {
	r := memory.NewRegistry("my-app") // given to servers and clients alike
	defer r.Close()

	ctx := context.Background()
	server := registry.Provider{Network: "tcp", Addr: "127.0.0.1:8888", Version: "v1"}
	_ = r.Register(ctx, registry.RegisterOption{}, server)

	providers, state, _ := r.Providers(ctx)
	fmt.Println(state, providers[0].ProviderKey, providers[0].Version)
	// Output: fresh tcp@127.0.0.1:8888 v1
}
