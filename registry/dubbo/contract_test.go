package dubbo_test

import (
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/dubbo"
	"github.com/sinew-rpc/sinew/registry/registrytest"
)

// open returns a registry of registrytest's application on servers, under a root
// of its own.
func open(t testing.TB, o dubbo.Option) *dubbo.Registry {
	t.Helper()
	r, err := dubbo.NewRegistry(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestContract(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	option := func(t *testing.T) dubbo.Option {
		return dubbo.Option{
			Servers:        []string{server.Addr()},
			Interface:      registrytest.AppKey,
			Protocol:       dubbo.Any,
			Root:           "/" + t.Name(),
			SessionTimeout: 4 * time.Second,
		}
	}
	registrytest.Run(t, func(t *testing.T) registry.Registry { return open(t, option(t)) },
		registrytest.Patience(10*time.Second),
		registrytest.Peer(func(t *testing.T, _ registry.Registry) registry.Registry { return open(t, option(t)) }))
}
