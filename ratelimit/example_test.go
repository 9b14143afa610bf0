package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/ratelimit"
)

// Ten a second, and two may wait for their turn.
func ExampleNewRateLimiter() {
	l := ratelimit.NewRateLimiter(10, 2)
	ctx := context.Background()
	fmt.Println(l.Acquire(ctx)) // there is one to begin with
	begun := time.Now()
	fmt.Println(l.Acquire(ctx), time.Since(begun) > 50*time.Millisecond) // waited for

	var refused *ratelimit.RefusedError
	if errors.As(l.TryAcquire(ctx), &refused) {
		fmt.Println("come back later:", refused.RetryAfter > 0)
	}
	// Output:
	// <nil>
	// <nil> true
	// come back later: true
}

// Each client may do something once a second.
func ExamplePerKey() {
	clients := &ratelimit.PerKey{New: func(string) ratelimit.RateLimiter { return ratelimit.NewRateLimiter(1, 0) }}
	for _, client := range []string{"ann", "bob", "ann"} {
		fmt.Println(client, clients.For(client).TryAcquire(context.Background()) == nil)
	}
	// Output:
	// ann true
	// bob true
	// ann false
}
