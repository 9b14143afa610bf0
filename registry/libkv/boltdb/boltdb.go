// Package boltdb makes BoltDB known to registry/libkv, by docker/libkv's own
// driver on go.etcd.io/bbolt: a registry in a file, for the processes of one
// machine, without a server. Importing it is enough:
//
//	import _ "github.com/sinew-rpc/sinew/registry/libkv/boltdb"
//
//	r, err := libkv.NewKVRegistry(store.BOLTDB, "my-app", "/sinew/service",
//		[]string{"/var/lib/my-app/providers.db"}, time.Second, nil)
//
// The file is opened for each call and locked meanwhile, so that processes can
// share it; it must be on a local disk, and its folder is made where it is
// missing. There are no watches: consumers learn of changes at their next poll,
// so a short UpdateInterval is right here.
package boltdb

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/docker/libkv"
	"github.com/docker/libkv/store"
	driver "github.com/docker/libkv/store/boltdb"
)

// Backend is the name under which the driver is registered.
const Backend = store.BOLTDB

// lockTimeout is how long another process may hold the file.
const lockTimeout = 3 * time.Second

func init() { libkv.AddStore(Backend, New) }

// New opens a store on the file addrs[0]. cfg may be nil. Its ConnectionTimeout,
// by default 3 s, is how long the file's lock is waited for; Bucket is "sinew" by
// default. PersistConnection would keep the file from every other process and is
// an error.
func New(addrs []string, cfg *store.Config) (store.Store, error) {
	if len(addrs) != 1 || addrs[0] == "" {
		return nil, fmt.Errorf("libkv/boltdb: want the path of one file, not %q", addrs)
	}
	var config store.Config
	if cfg != nil {
		config = *cfg
	}
	if config.PersistConnection {
		return nil, errors.New("libkv/boltdb: PersistConnection would lock the file against every other process: leave it off")
	}
	config.Bucket = cmp.Or(config.Bucket, "sinew")
	config.ConnectionTimeout = cmp.Or(config.ConnectionTimeout, lockTimeout)
	file, err := filepath.Abs(addrs[0]) // the driver makes the folder, and "" is none
	if err != nil {
		return nil, fmt.Errorf("libkv/boltdb: %w", err)
	}
	return driver.New([]string{file}, &config)
}
