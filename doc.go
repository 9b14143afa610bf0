// Package sinew is the root of an RPC framework for services without an IDL:
// write a struct with methods, register it, call "Type.Method". This package
// holds what concerns a whole process, [SetLogger]; the rest is the map:
//
//	server      SGServer: registers structs and functions, serves, drains
//	client      SGClient, governed, over all providers of an application;
//	            RPCClient, one connection to one provider
//	wrapper     what governs calls: a chain that can be read and extended
//	registry    who provides what: Peer2Peer, registry/memory, registry/libkv,
//	            and registry/dubbo for what Dubbo provides
//	selector    which provider gets a call, and which may not
//	ratelimit   token buckets; ratelimit/redis, one rate for a cluster
//	gateway     HTTP, JSON and REST to the same services; gateway/jsonrpc and
//	            gateway/dubbo, both ways
//	protocol    the frame, errors with outcomes, metadata, serializers
//	transport   connections: tcp, tls, unix, ws, wss and an in-memory network;
//	            transport/proxyproto, the client's address behind a balancer
//	cmd/sinew   the command line: ls, call, watch, ping, bench, drain
//
// A program imports what it uses: the server and the client link no registry
// driver and no metrics library.
//
// Nothing starts at import. The one goroutine that a process has without
// asking is glog's, which flushes its files.
package sinew
