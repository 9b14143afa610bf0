package registrytest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/registry/registrytest"
)

// late is another process's view of a registry: it hears of changes some time
// after they were made, and serves from its own copy.
type late struct {
	registry.Registry // what is written to
	feed              registry.Feed
	stop              context.CancelFunc
	copying           sync.WaitGroup
}

func newLate(t *testing.T, r registry.Registry, delay time.Duration) registry.Registry {
	w, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &late{Registry: r, stop: stop}
	l.copying.Go(func() {
		defer w.Close()
		for {
			s, err := w.Next(ctx)
			if err != nil {
				return
			}
			lag := time.NewTimer(delay)
			select {
			case <-lag.C:
				l.feed.Publish(s.Providers, s.State)
			case <-ctx.Done():
				lag.Stop()
				return
			}
		}
	})
	return l
}

func (l *late) Providers(ctx context.Context) ([]registry.Provider, registry.State, error) {
	return l.feed.Providers(ctx)
}

func (l *late) Watch() (registry.Watcher, error) { return l.feed.Watch() }

func (l *late) Close() error {
	l.stop()
	l.copying.Wait()
	l.feed.Close()
	return l.Registry.Close()
}

// The suite asks no more of a registry than delivery in the end.
func TestContractAllowsForLateDelivery(t *testing.T) {
	registrytest.Run(t,
		func(*testing.T) registry.Registry { return memory.NewRegistry(registrytest.AppKey) },
		registrytest.Peer(func(t *testing.T, r registry.Registry) registry.Registry {
			return newLate(t, r, 3*time.Millisecond)
		}),
		registrytest.Patience(10*time.Second),
	)
}
