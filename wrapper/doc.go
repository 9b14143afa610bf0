// Package wrapper holds the concerns that govern calls, one file each, with the
// client's half and the server's half together.
//
// A wrapper is put into client.Option.Wrappers or server.Option.Wrappers; the
// first in the list is outermost. Chains are composed once, when the client or
// server is made, so a call only runs them. Every wrapper here is a plain
// struct whose zero value is useful, may be shared by clients and servers, and
// keeps no state of single calls.
package wrapper
