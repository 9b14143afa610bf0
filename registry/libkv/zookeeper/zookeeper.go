// Package zookeeper makes ZooKeeper known to registry/libkv, by docker/libkv's
// own driver on github.com/samuel/go-zookeeper, all but its lists. Importing it is
// enough:
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
// libkv's List begins anew whenever a child vanished since it began, so that a list
// of a thousand hardly ever ends while some tens of them leave in a second, and it
// fails as a whole where one child cannot be read. The store of this package lists by
// itself: who has left is left out, and what cannot be read, for its ACL say, has the
// value "\x01", which is no entry. libkv's store keeps its connection to itself, so
// there are two for each store.
//
// Directories that are missing are created where that is allowed: the root, and what
// is there already, may be closed to writers.
//
// What to know of ZooKeeper: a list takes a round trip for each provider, eight at a
// time, and a server does some tens of thousands in a second. Every consumer lists at each
// change, and anew after half a TTL, so of large applications the TTL decides what
// a server is asked at rest: with a thousand providers and two hundred consumers,
// 3,200 reads a second at 2 min; at the default of 15 s it would be eight times as
// many. ZooKeeper's default for connections from one address, maxClientCnxns, is 60:
// enough for 30 processes. Each renewal of an entry goes to the server's log of
// transactions, 54 MB a day for a provider with an entry of 3 kB, and the server keeps
// all logs unless autopurge.purgeInterval is set, which by default it is not.
package zookeeper

import (
	"errors"
	"sync"
	"time"

	"github.com/docker/libkv"
	"github.com/docker/libkv/store"
	driver "github.com/docker/libkv/store/zookeeper"
	"github.com/samuel/go-zookeeper/zk"

	"github.com/sinew-rpc/sinew/internal/log"
)

// Backend is the name under which the driver is registered.
const Backend = store.ZK

func init() { libkv.AddStore(Backend, New) }

const (
	// defaultTimeout is libkv's for a session.
	defaultTimeout = 10 * time.Second
	// longestRequest is the room that the connection for lists keeps for a request,
	// which is little more than a path. The client would keep 1.5 MiB.
	longestRequest = 64 << 10
)

// New opens a store on the servers addrs, host:port each. It waits for nothing:
// a server that is down is told by the first call. cfg may be nil; TLS and
// passwords in it are an error. The first call sends the log of the driver, a
// line for each attempt to connect, to sinew's at V(1).
func New(addrs []string, cfg *store.Config) (store.Store, error) {
	if cfg != nil && (cfg.TLS != nil || cfg.ClientTLS != nil || cfg.Username != "" || cfg.Password != "") {
		return nil, errors.New("libkv/zookeeper: the driver knows neither TLS nor passwords: reach ZooKeeper through a tunnel, or give libkv.New a store of your own")
	}
	quieten()
	kv, err := driver.New(addrs, cfg)
	if err != nil {
		return nil, err
	}
	timeout := defaultTimeout
	if cfg != nil && cfg.ConnectionTimeout != 0 {
		timeout = cfg.ConnectionTimeout
	}
	conn, _, err := zk.Connect(addrs, timeout, zk.WithMaxConnBufferSize(longestRequest))
	if err != nil {
		kv.Close()
		return nil, err
	}
	return &lenient{Store: kv, lister: newLister(conn)}, nil
}

// lenient is libkv's store with lists that do not fail for the sake of one child, and
// keys that are not refused for the sake of the root.
type lenient struct {
	store.Store
	lister *lister
	closed sync.Once
}

// List returns the children of directory, and store.ErrKeyNotFound where it is
// missing. After Close it fails.
func (s *lenient) List(directory string) ([]*store.KVPair, error) { return s.lister.list(directory) }

// Get returns the value of key. libkv's asks for an invalid path where the value is
// soh, so whoever is to put it right, or to remove it, could not.
func (s *lenient) Get(key string) (*store.KVPair, error) {
	pair, err := s.Store.Get(key)
	if errors.Is(err, zk.ErrInvalidPath) {
		return s.lister.get(key)
	}
	return pair, err
}

// AtomicPut writes key, and creates it where previous is nil. libkv's creates the
// directories that are missing from the root down, and is refused where the root may
// not be written to, though what it wants below may.
func (s *lenient) AtomicPut(key string, value []byte, previous *store.KVPair, o *store.WriteOptions) (bool, *store.KVPair, error) {
	ok, pair, err := s.Store.AtomicPut(key, value, previous, o)
	if previous != nil || !errors.Is(err, zk.ErrNoAuth) {
		return ok, pair, err
	}
	if err := s.lister.makeParents(key); err != nil {
		return false, nil, err
	}
	return s.Store.AtomicPut(key, value, nil, o)
}

// Close ends both connections. It waits for lists under way, and may be called more
// than once.
func (s *lenient) Close() {
	s.closed.Do(func() {
		var listing sync.WaitGroup
		defer listing.Wait()
		listing.Go(s.lister.close)
		s.Store.Close()
	})
}

// quieten replaces the driver's logger, which writes to standard error each
// second while no server is there.
var quieten = sync.OnceFunc(func() { zk.DefaultLogger = logger{} })

type logger struct{}

// Printf implements zk.Logger.
func (logger) Printf(format string, args ...any) {
	log.V(1).Infof("zookeeper: "+format, args...)
}
