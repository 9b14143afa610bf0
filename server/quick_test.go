package server_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/server"
)

// A method that was quick a thousand times is served by the connection's reader.
// When it is not quick after all, other calls on the connection are held up for 8 ms
// once, and a cancel reaches it all the same; after that its calls hold up nobody.
func TestQuickMethodThatOnceTakesLong(t *testing.T) {
	for name, o := range map[string]server.Option{
		"plain":          {},
		"with a wrapper": {Wrappers: []server.Wrapper{server.BaseWrapper{}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mem := on(t, o)
				type request struct{ Wait bool }
				err := server.Handle(s, "Cache.Get", func(ctx context.Context, req *request) (*AddReply, error) {
					if req.Wait {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return &AddReply{}, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				running(t, s)
				client := dial(t, mem, nil)
				for range 1000 {
					if err := client.call(t.Context(), "Cache", "Get", &request{}, nil); err != nil {
						t.Fatal(err)
					}
				}
				for _, limit := range []time.Duration{8 * time.Millisecond, 0} {
					ctx, cancel := context.WithCancel(t.Context())
					var waits sync.WaitGroup
					waits.Go(func() {
						if err := client.call(ctx, "Cache", "Get", &request{Wait: true}, nil); !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					})
					synctest.Wait()
					begun := time.Now()
					client.add(t)
					if took := time.Since(begun); took > limit || limit > 0 && took == 0 {
						t.Errorf("another call took %v; at most %v, and more than 0 the first time", took, limit)
					}
					cancel()
					waits.Wait()
					synctest.Wait()
					if n := s.Stats().RequestsInFlight; n > 0 {
						t.Errorf("%d requests are being served after their callers left", n)
					}
				}
			})
		})
	}
}
