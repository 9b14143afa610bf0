// Package libkv is a registry on a key-value store: ZooKeeper, etcd, Consul, a
// BoltDB file, or whatever else satisfies docker/libkv's store.Store.
package libkv
