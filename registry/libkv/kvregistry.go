package libkv

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	libkvstore "github.com/docker/libkv"
	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry"
)

// KVRegistry lists the providers of one application in a key-value store. Make
// it with [NewKVRegistry] or [New]. Any number of servers and clients of a
// process may share one, and all its methods may be called concurrently.
//
// It owns its goroutines: one for each registered provider and one that removes
// the entries of crashed ones, two that follow the list once somebody asked for
// it, and one for each call of the store under way.
type KVRegistry struct {
	option Option
	guard  *guard
	writer *writer
	reader *reader
	feed   registry.Feed

	closing sync.Once
}

var (
	_ registry.Registry  = (*KVRegistry)(nil)
	_ registry.AppKeyed  = (*KVRegistry)(nil)
	_ registry.Presence  = (*KVRegistry)(nil)
	_ registry.Refresher = (*KVRegistry)(nil)
	_ registry.Located   = (*KVRegistry)(nil)
)

// drivers are the packages that make a backend known.
var drivers = map[store.Backend]string{
	store.ZK:                "zookeeper",
	store.BOLTDB:            "boltdb",
	store.CONSUL:            "consul",
	store.Backend("etcdv3"): "etcdv3",
}

// NewKVRegistry returns a registry on the servers, or for BoltDB the file, that
// addrs names. The program must import the driver of backend:
//
//	import _ "github.com/sinew-rpc/sinew/registry/libkv/zookeeper"  // store.ZK
//
// It waits for nothing and does not fail when the servers are down. A zero
// updateInterval is 10 s. cfg may be nil: see [Opener]. For the settings that it
// has no argument for, use [New].
//
// The error is an *[OptionError].
func NewKVRegistry(backend store.Backend, appKey, servicePath string, addrs []string, updateInterval time.Duration, cfg *store.Config) (*KVRegistry, error) {
	if err := known(backend); err != nil {
		return nil, err
	}
	if len(addrs) == 0 || slices.Contains(addrs, "") {
		return nil, &OptionError{Field: "addrs", Reason: "is empty, or has an empty address: name the servers, or the file of BoltDB"}
	}
	o := Option{AppKey: appKey, ServicePath: servicePath, UpdateInterval: updateInterval, Open: Opener(backend, addrs, cfg)}
	if backend != store.BOLTDB {
		o.Addrs = addrs
	}
	return New(nil, o)
}

// known refuses a backend whose driver is not imported. libkv tells that only by
// trying, so it is given no address to try.
func known(backend store.Backend) (err error) {
	defer func() { _ = recover() }() // a driver that knows the backend may choke on no address
	kv, err := libkvstore.NewStore(backend, nil, nil)
	if err == nil && kv != nil {
		kv.Close() // one that needs none has opened a store
	}
	if err == nil || !strings.HasPrefix(err.Error(), store.ErrBackendNotSupported.Error()) {
		return nil
	}
	advice := "it has no driver here: register one with libkv.AddStore"
	if driver := drivers[backend]; driver != "" {
		advice = fmt.Sprintf("import _ %q", "github.com/sinew-rpc/sinew/registry/libkv/"+driver)
	}
	return &OptionError{Field: "backend", Reason: fmt.Sprintf("%q is not known: %s", backend, advice)}
}

// New returns a registry on kv, or, where kv is nil, on what o.Open opens. kv
// stays the caller's, who closes it after the registry; several registries may
// share one.
//
// The error is an *[OptionError].
func New(kv store.Store, o Option) (*KVRegistry, error) {
	o, parent, err := o.complete(kv)
	if err != nil {
		return nil, err
	}
	r := &KVRegistry{option: o}
	r.guard = newGuard(kv, o.Open, o.CallLimit)
	r.writer = newWriter(r.guard, parent)
	r.reader = newReader(r.guard, parent, o, &r.feed)
	return r, nil
}

// AppKey implements registry.AppKeyed.
func (r *KVRegistry) AppKey() string { return r.option.AppKey }

// Addrs implements registry.Located: it returns Option.Addrs; none for a file.
func (r *KVRegistry) Addrs() []string { return slices.Clone(r.option.Addrs) }

// Register implements registry.Registry. Each of p is written, read back and
// announced, and from then on looked for every Interval: what was lost is
// registered again, for ever. Where the first attempt fails its error is
// returned, a *[StoreError] or ctx's, and the attempts go on: until Unregister
// or Close. TTL and Interval must not be negative; see [registry.RegisterOption].
//
// One ProviderKey is one instance's, which Started tells apart: the one that was
// registered last. Its predecessor writes no more while it lives, and takes the key
// again when it has left or crashed. Until then the error is
// [registry.ErrSuperseded], as that of Registered is. A predecessor that was registered
// by the same KVRegistry has been replaced, as by an update, and does not come back by
// itself.
func (r *KVRegistry) Register(ctx context.Context, o registry.RegisterOption, p ...registry.Provider) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prepared, err := r.prepare(o, p)
	if err != nil {
		return err
	}
	return r.writer.register(ctx, o, prepared)
}

// Unregister implements registry.Registry. What this process registered is
// refreshed no more, even when the error says that the store could not be told, or
// that ctx had ended: the entry's TTL ends it then. Unregister may be called again.
func (r *KVRegistry) Unregister(ctx context.Context, o registry.RegisterOption, p ...registry.Provider) error {
	prepared, err := r.prepare(o, p)
	if err != nil {
		return err
	}
	return r.writer.unregister(ctx, prepared)
}

func (r *KVRegistry) prepare(o registry.RegisterOption, ps []registry.Provider) ([]registry.Provider, error) {
	if err := r.feed.Err(); err != nil {
		return nil, err
	}
	return o.Prepare(r.option.AppKey, ps...)
}

// Registered implements registry.Presence: p counts as registered when its entry
// was there when it was last looked for, and while the store fails for one TTL
// more.
func (r *KVRegistry) Registered(p registry.Provider) (ok bool, err error) {
	p, err = p.Complete()
	if err != nil {
		return false, err
	}
	return r.writer.registered(p)
}

// Providers implements registry.Registry. The first call begins to follow the
// store.
func (r *KVRegistry) Providers(ctx context.Context) ([]registry.Provider, registry.State, error) {
	r.reader.start()
	ps, state, err := r.feed.Providers(ctx)
	if err != nil && state.Status == registry.NeverReached {
		state.Cause = r.reader.trouble()
	}
	return ps, state, err
}

// Watch implements registry.Registry. The first call begins to follow the store.
func (r *KVRegistry) Watch() (registry.Watcher, error) {
	r.reader.start()
	return r.feed.Watch()
}

// Refresh implements registry.Refresher: the store is asked whether the list has
// changed, at once, but no more than once a second, and the list is read where it
// has. While the store fails it is asked when it would be without.
func (r *KVRegistry) Refresh() { r.reader.refresh() }

// Stats returns what the registry has done and how it stands.
func (r *KVRegistry) Stats() Stats {
	return Stats{Store: r.guard.snapshot(), Writer: r.writer.snapshot(), Reader: r.reader.snapshot()}
}

// Close implements registry.Registry. It waits no longer than Option.CallLimit
// for a store that hangs, whose last calls are then left behind.
func (r *KVRegistry) Close() error {
	r.closing.Do(func() {
		r.feed.Close()
		r.reader.close()
		r.writer.close()
		r.guard.close()
	})
	return nil
}
