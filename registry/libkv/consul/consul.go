// Package consul makes Consul's key-value store known to registry/libkv, by
// docker/libkv's own driver on github.com/hashicorp/consul/api. Importing it is
// enough:
//
//	import _ "github.com/sinew-rpc/sinew/registry/libkv/consul"
//
//	r, err := libkv.NewKVRegistry(store.CONSUL, "my-app", "/sinew/service",
//		[]string{"127.0.0.1:8500"}, 10*time.Second, nil)
//
// One address, by custom that of the agent on the same machine. An ACL token is
// taken from CONSUL_HTTP_TOKEN. An agent limits the connections of one client
// address, by default to 200, and each watch holds one.
package consul

import (
	"errors"
	"fmt"

	"github.com/docker/libkv"
	"github.com/docker/libkv/store"
	driver "github.com/docker/libkv/store/consul"
)

// Backend is the name under which the driver is registered.
const Backend = store.CONSUL

func init() { libkv.AddStore(Backend, New) }

// New opens a store on the agent addrs[0], host:port. cfg may be nil. Its
// ConnectionTimeout is how long a watch waits before it asks again. TLS in it is
// an error: the driver would set it for the whole process, on
// http.DefaultClient. So are a user and a password, which it does not look at.
func New(addrs []string, cfg *store.Config) (store.Store, error) {
	if len(addrs) != 1 || addrs[0] == "" {
		return nil, fmt.Errorf("libkv/consul: want the address of one agent, not %q", addrs)
	}
	if cfg != nil && (cfg.TLS != nil || cfg.ClientTLS != nil) {
		return nil, errors.New("libkv/consul: the driver would put TLS on http.DefaultClient, for the whole process: use an agent on this machine, or give libkv.New a store of your own")
	}
	if cfg != nil && (cfg.Username != "" || cfg.Password != "") {
		return nil, errors.New("libkv/consul: the driver knows no passwords: set CONSUL_HTTP_TOKEN")
	}
	return driver.New(addrs, cfg)
}
