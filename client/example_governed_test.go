package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Store is a service whose database is away.
type Store struct{}

func (Store) Get(context.Context, *Number, *Number) error {
	return protocol.NewError(protocol.Unavailable, "the database is away")
}

// A client that chooses by itself who is called: by load and latency, by tags,
// not those whose calls fail or who do not answer heartbeats, and those who have
// just started little by little.
func ExampleSGOption() {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, Tags: map[string]string{"idc": "lf"}})
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(s.Register(Doubler{}), s.Register(Store{})); err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "store", nil)
	defer s.Close()
	<-s.Listening()

	op := client.DefaultSGOption // heartbeats are on
	op.Mem = network
	op.Registry = registry.NewPeer2PeerRegistry().WithProvider(
		registry.Provider{Network: "mem", Addr: "store", Tags: map[string]string{"idc": "lf"}},
		registry.Provider{Network: "mem", Addr: "far away", Tags: map[string]string{"idc": "yf"}},
	)
	op.Selector = selector.NewP2CSelector()
	op.Tagged, op.Tags = true, map[string]string{"idc": "lf"}
	op.HeartbeatInterval, op.HeartbeatDegradeThreshold = time.Second, 2
	op.CircuitBreakerThreshold, op.CircuitBreakerWindow = 3, time.Minute
	op.SlowStart = 10 * time.Second
	c, err := client.NewSGClient(op)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	for range 4 {
		err := c.Call(context.Background(), "Store.Get", &Number{}, nil)
		var open *client.BreakerError
		fmt.Println(protocol.CodeOf(err), protocol.OutcomeOf(err), "by a breaker:", errors.As(err, &open))
	}
	for _, p := range c.Providers() {
		fmt.Println(p.Provider.Addr, p.State, p.Breaker, p.Excluded != nil)
	}
	// Output:
	// Unavailable Ran by a breaker: false
	// Unavailable Ran by a breaker: false
	// Unavailable Ran by a breaker: false
	// Unavailable NotSent by a breaker: true
	// far away idle closed true
	// store connected open true
}
