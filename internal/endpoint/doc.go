// Package endpoint is what client and server have in common: the table of the
// methods that one side serves, the one context of calls and requests, and the
// way from a user's value over a Session to the method and back.
//
//	Caller.Call     encode -> Session.RoundTrip -> decode, on the caller's goroutine
//	Dispatcher      Admit -> Accept -> (wrappers) -> decode -> Method.Call -> encode
//	Table, Method   what is served; reflection at registration, none on a call
//
// It starts no goroutine: requests run on the Workers of the session's config.
package endpoint
