// Package libkv is a registry on a key-value store: ZooKeeper, etcd, Consul, a
// BoltDB file, or whatever else satisfies docker/libkv's store.Store.
//
//	import _ "github.com/sinew-rpc/sinew/registry/libkv/zookeeper"
//
//	r, err := libkv.NewKVRegistry(store.ZK, "my-app", "/sinew/service",
//		[]string{"127.0.0.1:2181"}, 10*time.Second, nil)
//
// The drivers are packages of their own, registry/libkv/zookeeper, boltdb, consul
// and etcdv3, so that a program links only what it imports.
//
// # What stands in the store
//
// Under <ServicePath>/<AppKey>, whose own value changes with every change below
// it, each provider is a child <network>@<escaped address>. Its value holds what
// the provider says of itself, which instance wrote it, and a stamp that the
// provider renews every Interval. An entry whose stamp has not moved for its TTL,
// by the clock of who looks, belongs to a provider that is dead: readers drop it,
// and the two living providers with the lowest keys remove it. The store's own
// TTLs are not used: they mean something else on each.
//
// # What happens when the store fails
//
// Nothing that a call would notice. Readers keep the last list, and say since
// when it is [registry.Stale]; with Option.SnapshotFile they keep it over a
// restart too. When over half of it vanishes at once, the registry is more likely
// to have failed than the providers: those entries stay for two thirds of their
// TTL, and the list is [registry.Doubted] meanwhile. When all stamps stand still, and
// those of two providers or more did at about the same time, the store more likely
// refuses writes than that all are dead: they stay, Doubted too, for as long as the
// store lists them, until somebody writes. An application whose providers all
// crashed at once stays listed as well, which costs dials that fail.
//
// Providers look for their entries every Interval and write again what was lost, for
// ever. A call of the store that does not return is left behind after
// Option.CallLimit, and a store that hangs is replaced.
//
// A watch is only a hint to look: one that closes is armed again, one that has
// gone silent is found by the polls. A poll reads one key and writes nothing.
//
// Stats tells how all of it stands.
package libkv
