// Package server serves: SGServer takes structs with methods and typed funcs,
// listens on any number of addresses, governs requests by wrappers, keeps its
// bounds, calls the clients that are connected to it, and drains when it is shut
// down.
//
//	s, err := server.NewSGServer(&server.Option{})
//	err = s.Register(Arith{})          // func (Arith) Add(ctx context.Context, req *AddRequest, reply *AddReply) error
//	err = s.Serve("tcp", ":8888", nil) // until Shutdown or Close
//
// What a request passes, in this order:
//
//	header  -> known method, serializer and compressor; tags; Admitters; room
//	body    -> wrappers, first in Option.Wrappers outermost -> decode -> method -> encode
//
// Whatever refuses a request before its method is entered is answered with
// NotRun, so that its caller knows that calling again does no harm. A panic
// costs the call that it happened in.
//
// The files: option.go and wrapper.go are what a server is made of; serve.go
// accepts connections and connection.go gives them their places; admission.go
// decides by the header; peer.go is the way back to the client; shutdown.go ends
// it all, age.go a connection that is old; registration.go keeps provider.go's
// description of an address in the registry; backend.go serves a gateway in the same
// process; stats.go counts; introspect.go and admin.go are the framework's own
// services.
package server
