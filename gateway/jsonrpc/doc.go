// Package jsonrpc is JSON-RPC 2.0 over HTTP (https://www.jsonrpc.org/specification),
// both ends: a [Handler] through which its clients call what a sinew server or
// client reaches, and a [Client] that calls its servers.
//
//	g, err := gateway.New(s, nil) // s: a *server.SGServer or a client.SGClient
//	h, err := jsonrpc.NewHandler(g, nil)
//	http.Handle("POST /jsonrpc", h)
//
//	curl -H 'Content-Type: application/json' \
//		-d '{"jsonrpc":"2.0","method":"ArithService.Add","params":{"A":1,"B":2},"id":1}' host/jsonrpc
//
// # Method and params
//
// The method is "Service.Method". A sinew method takes one value, its request,
// and the gateway does not know its type: it hands JSON on as it came. So
//
//   - params by name, an object, are the request;
//   - params by position that hold one value: that value is the request;
//   - params by position of any other number are themselves the request, an
//     array: for a request that is a slice, or one that decodes itself;
//   - where Option.Positional names the parameters of a method, params by
//     position become an object with these names, however many there are;
//   - no params: the request is null, which leaves a Go value as it is.
//
// # Numbers and ids
//
// Nothing on the way is decoded into Go values: an id is echoed byte for byte,
// and params and results keep every digit, above 2^53 as well.
//
// # What is refused
//
// Beyond what the specification calls invalid: a member that it does not know, a
// member twice, names in another case, text that is not UTF-8, and nesting below
// Option.MaxDepth. An invalid request is answered with its own id where that
// could be told, else with null.
//
// # Errors
//
// Unknown services and methods are -32601, requests that do not fit the method
// -32602, failures of the provider's machinery -32603. All other codes of
// package protocol are server errors, -32000 minus the code: NotFound, 5, is
// -32005. The member data tells the rest:
//
//	{"code":"not_found","message":"no order 7","outcome":"Ran","retryAfterMs":250}
//
// code is the name of the canonical code, outcome one of NotSent, Refused, MaybeRun
// and Ran, retryAfterMs is left out where nothing is known of it.
package jsonrpc
