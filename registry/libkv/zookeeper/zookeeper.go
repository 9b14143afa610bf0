// Package zookeeper makes ZooKeeper known to registry/libkv, by docker/libkv's
// own driver on github.com/samuel/go-zookeeper. Importing it is enough:
//
//	import _ "github.com/sinew-rpc/sinew/registry/libkv/zookeeper"
//
//	r, err := libkv.NewKVRegistry(store.ZK, "my-app", "/sinew/service",
//		[]string{"127.0.0.1:2181"}, 10*time.Second, nil)
//
// store.Config's ConnectionTimeout is the session's timeout, which the server
// bounds to 2 to 20 of its ticks. TLS and passwords are not among what the driver
// has: it takes them in a Config and does nothing, so they are refused here.
//
// What to know of ZooKeeper: a list takes a round trip for each provider, and a
// server does some tens of thousands in a second. Every consumer lists at each
// change, and anew after half a TTL, so of large applications the TTL decides what
// a server is asked at rest: with a thousand providers and two hundred consumers,
// 3,200 reads a second at 2 min; at the default of 15 s it would be eight times as
// many. ZooKeeper's default for connections from one address, maxClientCnxns, is 60.
package zookeeper

import (
	"errors"
	"sync"

	"github.com/docker/libkv"
	"github.com/docker/libkv/store"
	driver "github.com/docker/libkv/store/zookeeper"
	"github.com/samuel/go-zookeeper/zk"

	"github.com/sinew-rpc/sinew/internal/log"
)

// Backend is the name under which the driver is registered.
const Backend = store.ZK

func init() { libkv.AddStore(Backend, New) }

// New opens a store on the servers addrs, host:port each. It waits for nothing:
// a server that is down is told by the first call. cfg may be nil; TLS and
// passwords in it are an error. The first call sends the log of the driver, a
// line for each attempt to connect, to sinew's at V(1).
func New(addrs []string, cfg *store.Config) (store.Store, error) {
	if cfg != nil && (cfg.TLS != nil || cfg.ClientTLS != nil || cfg.Username != "" || cfg.Password != "") {
		return nil, errors.New("libkv/zookeeper: the driver knows neither TLS nor passwords: reach ZooKeeper through a tunnel, or give libkv.New a store of your own")
	}
	quieten()
	return driver.New(addrs, cfg)
}

// quieten replaces the driver's logger, which writes to standard error each
// second while no server is there.
var quieten = sync.OnceFunc(func() { zk.DefaultLogger = logger{} })

type logger struct{}

// Printf implements zk.Logger.
func (logger) Printf(format string, args ...any) {
	log.V(1).Infof("zookeeper: "+format, args...)
}
