// Package registry says who provides an application: the Registry interface
// that every discovery backend satisfies, the Provider it lists, and two pieces
// that need no backend at all.
//
// A [Registry] serves one application. Servers Register and Unregister
// themselves; clients ask Providers once or Watch for whole [Snapshot] values.
// Changes never travel as deltas, so a reader that misses one has lost nothing:
// the next snapshot holds everything.
//
// What implements it:
//
//   - [Peer2PeerRegistry], a list written in code, for programs that know their
//     peers;
//   - registry/memory, for servers and clients of one process;
//   - registry/libkv, on ZooKeeper, etcd, Consul or a BoltDB file;
//   - registry/dubbo, in the layout of Apache Dubbo on ZooKeeper.
//
// Who writes another one publishes its lists through a [Feed], which is the
// reading half of the interface, prepares what it is given with
// [RegisterOption.Prepare], and runs registry/registrytest against the result.
//
// The package imports nothing of sinew and starts no goroutine.
package registry
