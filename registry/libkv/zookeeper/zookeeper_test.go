package zookeeper_test

import (
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/drivertest"
	"github.com/sinew-rpc/sinew/registry/libkv/zookeeper"
)

func TestMain(m *testing.M) { testutil.Main(m) }

func TestContract(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	drivertest.Run(t, zookeeper.Backend, server.Addr(), time.Second, drivertest.Patience)
}
