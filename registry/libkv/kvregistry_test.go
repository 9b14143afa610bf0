package libkv_test

import (
	"testing"
	"time"

	libkvstore "github.com/docker/libkv"
	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/fakestore"
	"github.com/sinew-rpc/sinew/registry/registrytest"
)

const path = "/sinew/service"

// open returns a registry on server, of the application that registrytest uses.
func open(t testing.TB, server *fakestore.Server, change func(*libkv.Option)) *libkv.KVRegistry {
	t.Helper()
	o := libkv.Option{
		AppKey: registrytest.AppKey, ServicePath: path, UpdateInterval: 200 * time.Millisecond,
		Open: func() (store.Store, error) { return server.Open(), nil },
	}
	if change != nil {
		change(&o)
	}
	r, err := libkv.New(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A driver of somebody's that needs no address opens a store whenever it is asked: each
// is closed, the one too by which it is found out whether there is such a driver.
func TestStoresOfAForeignDriverAreClosed(t *testing.T) {
	const backend = store.Backend("needs-no-address")
	server := new(fakestore.Server)
	libkvstore.AddStore(backend, func([]string, *store.Config) (store.Store, error) { return server.Open(), nil })
	r, err := libkv.NewKVRegistry(backend, registrytest.AppKey, path, []string{"10.0.0.1:1"}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if opened, closed := server.Connections(); opened != closed {
		t.Errorf("%d stores were opened and %d closed", opened, closed)
	}
}

// The contract, on stores of every form, with readers and writers that are
// processes of their own.
func TestContract(t *testing.T) {
	for name, faults := range map[string]fakestore.Faults{
		"as ZooKeeper": {EmptyFirst: time.Millisecond},
		"as etcd":      {Form: fakestore.AbsoluteKeys},
		"as Consul":    {Form: fakestore.AllLevels, WatchMissing: true},
		"as BoltDB":    {Form: fakestore.AllLevels, NoWatch: true},
		"deaf watches": {Deaf: true},
	} {
		t.Run(name, func(t *testing.T) {
			servers := make(map[registry.Registry]*fakestore.Server)
			registrytest.Run(t, func(t *testing.T) registry.Registry {
				server := new(fakestore.Server)
				server.Fail(faults)
				r := open(t, server, nil)
				servers[r] = server
				return r
			}, registrytest.Peer(func(t *testing.T, r registry.Registry) registry.Registry {
				return open(t, servers[r], nil)
			}))
		})
	}
}
