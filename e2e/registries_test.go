package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/process"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry/libkv"
	_ "github.com/sinew-rpc/sinew/registry/libkv/boltdb"
	"github.com/sinew-rpc/sinew/registry/libkv/consul"
	"github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
)

// registryKind is a store that providers of other processes share.
type registryKind struct {
	name    string
	backend store.Backend
	open    func(t *testing.T) (addrs []string)
}

var registryKinds = []registryKind{
	{"ZooKeeper", store.ZK, func(t *testing.T) []string { return []string{registryserver.ZooKeeper(t).Addr()} }},
	{"etcd", etcdv3.Backend, func(t *testing.T) []string { return []string{registryserver.Etcd(t).Addr()} }},
	{"Consul", consul.Backend, func(t *testing.T) []string { return []string{registryserver.Consul(t).Addr()} }},
	{"BoltDB", store.BOLTDB, func(t *testing.T) []string { return []string{filepath.Join(t.TempDir(), "registry.db")} }},
}

const (
	sharedApp  = "shared"
	sharedPath = "/sinew/e2e"
	sharedTTL  = 3 * time.Second // the shortest that readers believe
)

// sharedRegistry is a registry that the test's process and others use.
type sharedRegistry struct {
	*testing.T
	backend store.Backend
	addrs   []string
}

func (k *registryKind) start(t *testing.T) *sharedRegistry {
	t.Helper()
	return &sharedRegistry{t, k.backend, k.open(t)}
}

// connect returns a registry of another user, polling each second, closed at the
// end of the test.
func (r *sharedRegistry) connect() *libkv.KVRegistry {
	r.Helper()
	kv, err := libkv.NewKVRegistry(r.backend, sharedApp, sharedPath, r.addrs, time.Second, nil)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = kv.Close() }) // returns nil
	return kv
}

// provider starts one in a process of its own, which ends with the test.
func (r *sharedRegistry) provider(program *process.Program) *process.Process {
	r.Helper()
	return program.Start(r, "-backend", string(r.backend), "-registry", strings.Join(r.addrs, ","),
		"-app", sharedApp, "-path", sharedPath, "-ttl", sharedTTL.String())
}

// consumer returns a client with a registry of its own.
func (r *sharedRegistry) consumer(change func(*client.SGOption)) client.SGClient {
	r.Helper()
	op := client.DefaultSGOption
	op.AppKey, op.Registry = sharedApp, r.connect()
	if change != nil {
		change(&op)
	}
	c, err := client.NewSGClient(op)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close() }) // returns nil
	return c
}
