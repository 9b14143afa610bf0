// Package dubbo lets Apache Dubbo and sinew call each other, by the form of
// JSON-RPC 2.0 over HTTP that Dubbo's protocol jsonrpc is: POST /<interface>, the
// method in the body, its parameters by position.
//
// # Dubbo calls sinew
//
//	h, err := dubbo.NewHandler(g, &dubbo.Option{
//		Services: map[string]string{"com.example.UserProvider": "Users"},
//	})
//	http.Handle("POST /com.example.UserProvider", h)
//
// The last element of the path is the interface; what stands before it, a context
// path of Java's, is passed over. Option.Services says which service that is; one
// that is not there is itself the service's name, and so is what stands behind its
// last dot where Option.ShortNames is set. The first letter of a method's name
// becomes a capital: getUser is the Go method GetUser.
//
// A sinew method takes one value. The only parameter of a call is that value, a
// string or a number too; several become an object where Option.Positional names
// them, and else are the value as an array. See gateway/jsonrpc, whose Handler
// serves them, for numbers, errors, and what is refused.
//
// The headers that Dubbo sends beside Content-Type are Timeout, which bounds the
// call, and X-Proxy-Id, X-Services and X-Method, which say what path and body say
// better and are not read.
//
// That Dubbo's consumers find the handler, its address is registered with package
// registry/dubbo, under the network jsonrpc.
//
// # Sinew calls Dubbo
//
//	r, err := registry/dubbo.NewRegistry(…)
//	c, err := dubbo.NewClient("com.example.UserProvider", r.Endpoints, nil)
//	err = c.Call(ctx, "UserProvider.GetUser", "A001", &user)
//
// A [Client] is a client.Caller: client.Invoke takes one.
package dubbo
