package consul_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry/libkv/consul"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/drivertest"
)

// The driver uses http.DefaultClient, whose idle connections would look like
// leaks.
func TestMain(m *testing.M) {
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true
	testutil.Main(m)
}

func TestContract(t *testing.T) {
	server := registryserver.Consul(t)
	// A watch that was stopped goes on asking for up to 16 s.
	drivertest.Run(t, consul.Backend, server.Addr(), time.Second, 20*time.Second)
}
