package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/ratelimit"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
)

// Bakery is what the examples of limits call.
type Bakery struct{ oven func() }

type Loaf struct{ Name string }

// Bake takes as long as the baker likes.
func (b Bakery) Bake(context.Context, *Loaf, *Loaf) error {
	b.oven()
	return nil
}

func (Bakery) Burn(context.Context, *Loaf, *Loaf) error {
	return protocol.NewError(protocol.Unavailable, "the oven is out")
}

// bakery serves a Bakery behind wrappers; the client is one of it.
func bakery(b Bakery, onServer []server.Wrapper, onClient ...client.Wrapper) (c client.RPCClient, closeBoth func()) {
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, Wrappers: onServer})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Register(b); err != nil {
		log.Fatal(err)
	}
	go s.Serve("mem", "bakery", nil)
	<-s.Listening()
	if c, err = client.NewRPCClient("mem", "bakery", &client.Option{Mem: network, Wrappers: onClient}); err != nil {
		log.Fatal(err)
	}
	return c, func() { c.Close(); s.Close() }
}

// A client that makes ten calls a second, of which two may wait.
func ExampleRateLimit() {
	c, closeBoth := bakery(Bakery{func() {}}, nil, &wrapper.RateLimit{Limiter: ratelimit.NewRateLimiter(10, 2)})
	defer closeBoth()
	begun := time.Now()
	for range 3 {
		if err := c.Call(context.Background(), "Bakery.Bake", &Loaf{"rye"}, nil); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("the third went out after 200 ms:", time.Since(begun) >= 190*time.Millisecond)
	// Output:
	// the third went out after 200 ms: true
}

// A server that serves each client once a minute, and says when to come back.
func ExampleRateLimit_server() {
	limit := &wrapper.RateLimit{Clients: &ratelimit.PerKey{New: func(string) ratelimit.RateLimiter { return ratelimit.NewRateLimiter(1./60, 0) }}}
	c, closeBoth := bakery(Bakery{func() {}}, []server.Wrapper{limit})
	defer closeBoth()
	for range 2 {
		err := c.Call(context.Background(), "Bakery.Bake", &Loaf{"rye"}, nil)
		var e *protocol.Error
		if errors.As(err, &e) {
			fmt.Println(e.Code, protocol.OutcomeOf(err), "come back in a minute:", e.RetryAfter.Round(time.Minute) == time.Minute)
			continue
		}
		fmt.Println("served")
	}
	// Output:
	// served
	// ResourceExhausted Refused come back in a minute: true
}

// A method that fails is left alone for a while.
func ExampleBreaker() {
	b := &wrapper.Breaker{Threshold: 2, OnChange: func(serviceMethod string, state wrapper.BreakerState) {
		fmt.Println(serviceMethod, "is", state)
	}}
	c, closeBoth := bakery(Bakery{}, []server.Wrapper{b})
	defer closeBoth()
	for range 3 {
		err := c.Call(context.Background(), "Bakery.Burn", &Loaf{"wheat"}, nil)
		fmt.Println(err, "-", protocol.OutcomeOf(err))
	}
	// Output:
	// Unavailable: the oven is out - Ran
	// Bakery.Burn is open
	// Unavailable: the oven is out - Ran
	// Unavailable: Bakery.Burn fails here: its breaker is open - Refused
}

// A server that is full refuses at once. How much is too much it finds out by
// itself; here it is told, to show it.
func ExampleConcurrencyLimit() {
	limit := &wrapper.ConcurrencyLimit{Initial: 1, Max: 1}
	begun, baked := make(chan struct{}), make(chan struct{})
	c, closeBoth := bakery(Bakery{func() { close(begun); <-baked }}, []server.Wrapper{limit})
	defer closeBoth()

	first := c.Go(context.Background(), "Bakery.Bake", &Loaf{"rye"}, nil, nil)
	<-begun
	matters := client.With(context.Background(), client.Priority(5)) // but nothing is free
	err := c.Call(matters, "Bakery.Bake", &Loaf{"oat"}, nil)
	fmt.Println(err, "-", protocol.OutcomeOf(err))

	close(baked)
	fmt.Println("the first:", (<-first.Done).Error)
	// Output:
	// ResourceExhausted: the server has more requests than it can serve in time - Refused
	// the first: <nil>
}
