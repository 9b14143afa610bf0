// Package drivertest holds a driver of registry/libkv against the contract of
// registries, on a real server.
package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/registry/registrytest"
)

// Patience is enough for most drivers to see a change, and to end their watches.
const Patience = 10 * time.Second

// Run tests backend at addr, with readers and writers that share nothing but the
// server, and polls each poll.
func Run(t *testing.T, backend store.Backend, addr string, poll, patience time.Duration) {
	var paths atomic.Int64
	path := make(map[registry.Registry]string)
	open := func(t *testing.T, path string) registry.Registry {
		t.Helper()
		r, err := libkv.NewKVRegistry(backend, registrytest.AppKey, path, []string{addr}, poll, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	registrytest.Run(t, func(t *testing.T) registry.Registry {
		p := fmt.Sprintf("/sinew/test%d", paths.Add(1))
		r := open(t, p)
		path[r] = p
		return r
	}, registrytest.Patience(patience), registrytest.Peer(func(t *testing.T, r registry.Registry) registry.Registry {
		return open(t, path[r])
	}))
	t.Run("the entry of a provider that died vanishes", func(t *testing.T) { testDeath(t, open) })
	t.Run("applications are listed", func(t *testing.T) { testApplications(t, backend, addr) })
}

// testApplications lists what two applications, and one of another path, left.
func testApplications(t *testing.T, backend store.Backend, addr string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	const path = "/sinew/apps"
	if apps, err := libkv.Applications(ctx, backend, path, []string{addr}, nil); len(apps) > 0 || err != nil {
		t.Errorf("before any was registered: %q, %v", apps, err)
	}
	for app, below := range map[string]string{"shop": path, "a/b c": path, "other": "/sinew/apps2"} {
		r, err := libkv.NewKVRegistry(backend, app, below, []string{addr}, time.Second, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := r.Register(ctx, registry.RegisterOption{}, registry.Provider{Network: "tcp", Addr: "10.0.0.1:80"}); err != nil {
			t.Fatal(err)
		}
	}
	var wrong *libkv.OptionError
	if apps, err := libkv.Applications(ctx, backend, "/", []string{addr}, nil); !errors.As(err, &wrong) {
		t.Errorf("applications of the root: %q, %v", apps, err)
	}
	apps, err := libkv.Applications(ctx, backend, path, []string{addr}, nil)
	if err != nil || !slices.Equal(apps, []string{"a/b c", "shop"}) {
		t.Errorf("applications %q, %v", apps, err)
	}
}

// testDeath registers two providers with a TTL of 3 s and ends one without a
// word.
func testDeath(t *testing.T, open func(*testing.T, string) registry.Registry) {
	const path, ttl = "/sinew/death", 3 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	consumer := open(t, path)
	defer consumer.Close()
	var providers []registry.Registry
	for i := range 2 {
		r := open(t, path)
		defer r.Close()
		p := registry.Provider{Network: "tcp", Addr: fmt.Sprintf("10.0.0.%d:80", i), Started: time.Now()}
		if err := r.Register(ctx, registry.RegisterOption{TTL: ttl}, p); err != nil {
			t.Fatal(err)
		}
		providers = append(providers, r)
	}
	w, err := consumer.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	awaitLength(ctx, t, w, 2)
	died := time.Now()
	_ = providers[1].Close() // unregisters nothing
	awaitLength(ctx, t, w, 1)
	took := time.Since(died)
	t.Logf("gone after %v, the TTL is %v", took.Round(time.Millisecond), ttl)
	if took > 5*ttl/2 {
		t.Errorf("a provider that died is listed for %v; its TTL is %v", took, ttl)
	}
}

func awaitLength(ctx context.Context, t *testing.T, w registry.Watcher, n int) {
	t.Helper()
	for {
		s, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Providers) == n {
			return
		}
	}
}
