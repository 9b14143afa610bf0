// Package dubbo is the registry of Apache Dubbo on ZooKeeper: what Dubbo's
// providers write there is listed here, and what is registered here is found by
// Dubbo's consumers.
//
//	r, err := dubbo.NewRegistry(dubbo.Option{
//		Servers:   []string{"127.0.0.1:2181"},
//		Interface: "com.example.UserProvider",
//	})
//
// # Layout
//
// A [Registry] is about one interface. Its providers are the ephemeral nodes under
//
//	/dubbo/<interface>/providers/<URL, escaped>
//
// whose names say everything, and have no value:
//
//	jsonrpc://10.0.0.7:20000/com.example.UserProvider?application=users&category=providers&
//	group=lf&interface=com.example.UserProvider&methods=getUser,addUser&timestamp=1700000000123&version=1.0
//
// The URL's protocol is a provider's Network, host and port its Addr, followed by
// the path where that is not the interface's name. methods become Services,
// enabled=false is Draining, timestamp Started, and weight, of which Dubbo's usual
// 100 is 1 here, Weight. What Dubbo has no parameter for travels in some whose
// names begin with "sinew.", which Dubbo passes over. The schemas of types stay
// out: names are no place for them.
//
// Only URLs of the option's Protocol, Group and Version are listed. With
// Option.Consumer this process is listed itself, under /consumers.
//
// # Sessions
//
// A session of ZooKeeper is one connection here. One that breaks is not taken up
// again: the next begins with everything of ours written anew, in place of what
// the last one left behind, which the server would otherwise delete when it notices
// that its session ended. The swap of both is one transaction, so readers see no
// gap. Entries that somebody else deleted are brought back at once.
//
// # Reading
//
// The list is read again after each change, and every Option.PollInterval. While
// ZooKeeper is away the last good list stays, as Stale. When it is back, providers
// may need time to come back too: what vanished from the list stays, as Doubted,
// for Option.Settle.
//
// The client is github.com/go-zookeeper/zk, the maintained descendant of the one
// that docker/libkv brings: calls end with Close there, which no recovery from a
// frozen server goes without.
package dubbo
