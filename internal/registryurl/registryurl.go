// Package registryurl opens the registry that one word of a command line names,
// such as zk://127.0.0.1:2181. It links every driver, so it is for programs: the
// demo and the command line, which understand the same words.
package registryurl

import (
	"context"
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

// Forms are the words that Parse takes, for help and errors.
const Forms = "bolt, bolt:///file, zk://host:port, etcd://host:port, consul://host:port"

var backends = map[string]store.Backend{
	"bolt":   store.BOLTDB,
	"zk":     store.ZK,
	"etcd":   etcdv3.Backend,
	"consul": store.CONSUL,
}

// Location is where a registry is kept.
type Location struct {
	Backend store.Backend
	Addrs   []string // of servers, or one file
}

// Parse takes scheme://address[,address] apart. "bolt" alone is a file of the
// user's, in which the processes of one user meet.
func Parse(word string) (Location, error) {
	scheme, rest, _ := strings.Cut(word, "://")
	backend, known := backends[scheme]
	switch {
	case !known:
		return Location{}, fmt.Errorf("%q is none of %s", word, Forms)
	case backend != store.BOLTDB && rest == "":
		return Location{}, fmt.Errorf("%q names no server: write %s://host:port", word, scheme)
	case backend != store.BOLTDB:
		return Location{backend, strings.Split(rest, ",")}, nil
	case rest != "":
		return Location{backend, []string{rest}}, nil
	}
	file, err := ownFile()
	return Location{backend, []string{file}}, err
}

func ownFile() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no place for the registry's file: %w; choose one by bolt:///file", err)
	}
	return filepath.Join(dir, "sinew", "demo.db"), nil
}

// Open returns the registry of one application there, polled each poll.
func (l Location) Open(app, servicePath string, poll time.Duration) (*libkv.KVRegistry, error) {
	return libkv.NewKVRegistry(l.Backend, app, servicePath, l.Addrs, poll, nil)
}

// Applications lists the applications there.
func (l Location) Applications(ctx context.Context, servicePath string) ([]string, error) {
	return libkv.Applications(ctx, l.Backend, servicePath, l.Addrs, nil)
}
