package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/process"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
)

// A client that is started while the registry is down calls whom its snapshot
// file names, and says how old that list is; when the registry is back, so is a
// fresh list.
func TestClientStartsWithoutTheRegistry(t *testing.T) {
	etcd := registryserver.Etcd(t)
	shared := &sharedRegistry{t, etcdv3.Backend, []string{etcd.Addr()}}
	provider := shared.provider(process.Build(t, "./internal/provider"))

	file := filepath.Join(t.TempDir(), "providers.json")
	before, registryBefore := startWithFile(shared, file)
	say(t, before) // it waits for the first provider
	_, state, err := registryBefore.Providers(t.Context())
	if err != nil || state.Status != registry.Fresh {
		t.Fatalf("%v, %v", state, err)
	}
	_, _ = before.Close(), registryBefore.Close() // they return nil; the file is written at the latest now
	saved := time.Now()
	etcd.Kill()

	late, registryLate := startWithFile(shared, file)
	defer func() { _, _ = late.Close(), registryLate.Close() }() // they return nil
	say(t, late)
	ps, state, err := registryLate.Providers(t.Context())
	if err != nil || len(ps) != 1 || ps[0].Addr != provider.Addr {
		t.Fatalf("%+v, %v", ps, err)
	}
	age := time.Since(state.Since)
	if state.Status != registry.Stale || state.Cause == nil || age < time.Since(saved) || age > time.Since(saved)+10*time.Second {
		t.Errorf("the list is %v, so %v old; it was saved %v ago", state, age, time.Since(saved))
	}

	etcd.Restart()
	for began := time.Now(); state.Status != registry.Fresh; time.Sleep(20 * time.Millisecond) {
		if _, state, err = registryLate.Providers(t.Context()); err != nil || time.Since(began) > time.Minute {
			t.Fatalf("%v after the restart: %v, %v", time.Since(began), state, err)
		}
	}
	say(t, late)
}

// startWithFile returns a client that keeps the last good list in file.
func startWithFile(s *sharedRegistry, file string) (client.SGClient, *libkv.KVRegistry) {
	s.Helper()
	r, err := libkv.New(nil, libkv.Option{
		AppKey: sharedApp, ServicePath: sharedPath, UpdateInterval: time.Second, SnapshotFile: file,
		Open: libkv.Opener(s.backend, s.addrs, nil),
	})
	if err != nil {
		s.Fatal(err)
	}
	op := client.DefaultSGOption
	op.AppKey, op.Registry = sharedApp, r
	op.RequestTimeout = 20 * time.Second
	c, err := client.NewSGClient(op)
	if err != nil {
		s.Fatal(err)
	}
	return c, r
}
