package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry/libkv"
	_ "github.com/sinew-rpc/sinew/registry/libkv/boltdb"
	_ "github.com/sinew-rpc/sinew/registry/libkv/consul"
	"github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
	_ "github.com/sinew-rpc/sinew/registry/libkv/zookeeper"
)

const (
	// defaultRegistry is a file of the user's, so that two terminals find each
	// other without a word.
	defaultRegistry = "bolt"
	servicePath     = "/sinew/demo"
	// registryPoll and registryTTL are short, so that one sees what happens.
	registryPoll = time.Second
	registryTTL  = 5 * time.Second
)

// backends are the schemes of -registry.
var backends = map[string]store.Backend{
	"bolt":   store.BOLTDB,
	"zk":     store.ZK,
	"etcd":   etcdv3.Backend,
	"consul": store.CONSUL,
}

// openRegistry opens what -registry says.
func openRegistry(location, app string) (*libkv.KVRegistry, error) {
	backend, addrs, err := parseRegistry(location)
	if err != nil {
		return nil, err
	}
	r, err := libkv.NewKVRegistry(backend, app, servicePath, addrs, registryPoll, nil)
	if err != nil {
		return nil, fmt.Errorf("-registry %s: %w", location, err)
	}
	return r, nil
}

// parseRegistry takes scheme://address[,address] apart. "bolt" alone is the
// user's own file.
func parseRegistry(location string) (backend store.Backend, addrs []string, err error) {
	scheme, rest, _ := strings.Cut(location, "://")
	backend, known := backends[scheme]
	switch {
	case !known:
		return "", nil, fmt.Errorf("-registry: %q is none of bolt, bolt:///file, zk://host:port, etcd://host:port, consul://host:port", location)
	case backend != store.BOLTDB && rest == "":
		return "", nil, fmt.Errorf("-registry: %q names no server: write %s://host:port", location, scheme)
	case backend != store.BOLTDB:
		return backend, strings.Split(rest, ","), nil
	case rest != "":
		return backend, []string{rest}, nil
	}
	file, err := ownFile()
	return backend, []string{file}, err
}

// ownFile is where the processes of one user meet.
func ownFile() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no place for the registry's file: %w; choose one with -registry bolt:///file", err)
	}
	return filepath.Join(dir, "sinew", "demo.db"), nil
}
