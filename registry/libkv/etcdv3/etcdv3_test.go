package etcdv3_test

import (
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/drivertest"
)

func TestMain(m *testing.M) { testutil.Main(m) }

func TestContract(t *testing.T) {
	server := registryserver.Etcd(t)
	drivertest.Run(t, etcdv3.Backend, server.Addr(), time.Second, drivertest.Patience)
}
