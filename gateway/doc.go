// Package gateway lets everything that speaks HTTP reach the services: curl, a
// browser, a partner's system. It turns a request into a message, gives that to
// a Backend, and turns the answer into a response.
//
// The same code stands in two places. Beside a server, the Backend is that
// *server.SGServer, and requests enter its own chain: admission, wrappers,
// bounds, drain. Alone, it is a client.SGClient, which finds providers and
// governs each call. The package imports neither.
//
// What a Gateway answers, in the order in which it looks:
//
//   - what was registered with Handle, Group and Bind (router.go, group.go,
//     bind.go): REST, on the patterns of net/http;
//   - POST /invoke, the header bridge (bridge.go): the fields of a frame's header
//     as HTTP headers, the body untouched in whatever serializer;
//   - POST /{Service}/{Method} (jsoncall.go): JSON in, JSON out, as Connect's
//     unary calls have it, so that its clients and curl both work.
//
// Handlers of other forms (JSON-RPC, Dubbo, documents) are packages below this
// one; they make their calls through Gateway.Call, so that deadlines, metadata,
// credentials and request ids are the same for all.
package gateway
