// Package wrapper holds the concerns that govern calls, one file each, with the
// client's half and the server's half together.
//
// A wrapper is put into client.Option.Wrappers or server.Option.Wrappers; the
// first in the list is outermost. Chains are composed once, when the client or
// server is made, so a call only runs them. Every wrapper here is a plain
// struct, may be shared by clients and servers, and keeps no state of single
// calls. What needs a library of its own is a package below: wrapper/prometheus,
// wrapper/opentracing, wrapper/jwt.
//
// # Order
//
// Any order works. This one is advised, outermost first, for both sides; leave
// out what you do not want:
//
//	RequestID            first, so that all others know the id
//	Log                  sees what the caller gets, whatever comes of it below
//	opentracing.Tracing  its span is to hold the time of all below
//	Metrics              counts refusals of those below, too
//	Recover              those above see an error, not a panic
//	Auth                 before limits: strangers must not use up what others have
//	RateLimit            before work is spent on a call
//	Breaker              behind what refuses for reasons of its own: it is to
//	                     judge the method alone
//	ConcurrencyLimit     last, on a server: what it admits counts as about to run
//	TokenSource          on a client, behind RateLimit: no token is made for
//	                     a call that is not sent
//	MetaData             on a client, anywhere
//	AttemptMetrics       on a client, anywhere: attempts are inside of all calls
//
// On a server those that implement server.Admitter (Auth, RateLimit, Breaker,
// ConcurrencyLimit) are asked before the body of a request is read, in the same
// order, and what they refuse there reaches no other wrapper: server.Stats counts
// it. A client's AttemptWrappers are inside of everything else, again first
// outermost.
package wrapper
