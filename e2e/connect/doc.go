// Package connect tests the gateway with the Connect protocol's own client. It is
// a module of its own, so that connectrpc.com/connect reaches no user of sinew.
package connect
