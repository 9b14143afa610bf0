package client_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
)

// Doubler is a service.
type Doubler struct{}

type Number struct{ N int }

func (Doubler) Double(_ context.Context, in, out *Number) error {
	if in.N < 0 {
		return protocol.NewError(protocol.OutOfRange, "N must not be negative")
	}
	out.N = 2 * in.N
	return nil
}

// startDoubler serves on a free port of this machine, and has r list it.
func startDoubler(r registry.Registry) *server.SGServer {
	s, err := server.NewSGServer(&server.Option{
		Registry:       r,
		RegisterOption: registry.RegisterOption{AppKey: "doubler"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Register(Doubler{}); err != nil {
		log.Fatal(err)
	}
	go s.Serve("tcp", "127.0.0.1:0", nil)
	<-s.Listening()
	awaitListed(r, s.Addr().String())
	return s
}

// awaitListed returns when r lists addr: a server serves before it is listed,
// so that a dead registry stops nobody.
func awaitListed(r registry.Registry, addr string) {
	w, err := r.Watch()
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	for {
		snapshot, err := w.Next(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		if slices.ContainsFunc(snapshot.Providers, func(p registry.Provider) bool { return p.Addr == addr }) {
			return
		}
	}
}

// A governed client calls an application, whoever provides it. It learns from a
// registry who does; this one lives in the process.
func Example() {
	r := memory.NewRegistry("doubler")
	first, second := startDoubler(r), startDoubler(r)
	defer second.Close()

	op := client.DefaultSGOption
	op.AppKey, op.Registry = "doubler", r
	c, err := client.NewSGClient(op)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	out, err := client.Invoke[Number](ctx, c, "Doubler.Double", &Number{N: 21})
	fmt.Println(out.N, err)

	// A provider that leaves costs no call.
	fmt.Println(first.Shutdown(ctx))
	out, err = client.Invoke[Number](ctx, c, "Doubler.Double", &Number{N: 4})
	fmt.Println(out.N, err)

	// A method's error keeps its code; its outcome tells that it ran.
	_, err = client.Invoke[Number](ctx, c, "Doubler.Double", &Number{N: -1})
	fmt.Println(err, protocol.OutcomeOf(err))
	_, err = client.Invoke[Number](ctx, c, "Doubler.Halve", &Number{N: 1})
	fmt.Println(protocol.CodeOf(err), protocol.OutcomeOf(err))
	// Output:
	// 42 <nil>
	// <nil>
	// 8 <nil>
	// OutOfRange: N must not be negative Ran
	// Unimplemented Refused
}
