package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
)

// providerCount is how many providers the show begins with.
const providerCount = 3

// showTimeout bounds a call of the show: so long that only a call that was
// forgotten meets it, on a busy machine too.
const showTimeout = 5 * time.Second

// stage is the whole system in one process.
type stage struct {
	settings settings
	display  *screen
	registry *memory.Registry
	client   client.SGClient
	visitors client.SGClient // of those who call through the gateway
	web      *web
	observed *observer
	ran      counter // what the providers ran, all together
	calls    *load

	// Of open, the acts and close, which follow each other:
	providers []*provider
	dead      []*provider // killed, and still to be closed

	mu sync.Mutex
	// Guarded by mu:
	states map[string]string // by provider key, as the table shows them
}

// open starts the registry, the providers and the client, and waits until the
// registry lists all of them.
func (st *stage) open(ctx context.Context, text *book) error {
	st.registry = memory.NewRegistry(defaultApp)
	for range providerCount {
		p, err := startProvider(defaultApp, "127.0.0.1:0", st.registry, &st.ran)
		if err != nil {
			return err
		}
		st.providers = append(st.providers, p)
		st.setState(p.key, "serving")
	}
	if err := awaitProviders(ctx, st.registry, providerCount); err != nil {
		return err
	}
	op := client.DefaultSGOption
	op.AppKey, op.Registry = defaultApp, st.registry
	op.RequestTimeout = showTimeout
	op.Wrappers = append(op.Wrappers, st.observed)
	c, err := client.NewSGClient(op)
	if err != nil {
		return err
	}
	st.client = c
	st.calls = &load{caller: c, book: text, callers: st.settings.callers}
	return st.openWeb()
}

// openWeb starts the gateway, with a client of its own: what visitors call is not
// of the show.
func (st *stage) openWeb() (err error) {
	op := client.DefaultSGOption
	op.AppKey, op.Registry = defaultApp, st.registry
	op.RequestTimeout = showTimeout
	op.MetaData = map[string]string{visitorKey: "gateway"}
	if st.visitors, err = client.NewSGClient(op); err != nil {
		return err
	}
	st.web, err = openWeb(st.settings.web, st.visitors)
	return err
}

// awaitProviders returns when r lists n providers.
func awaitProviders(ctx context.Context, r registry.Registry, n int) error {
	watcher, err := r.Watch()
	if err != nil {
		return err
	}
	defer watcher.Close()
	for {
		snapshot, err := watcher.Next(ctx)
		if err != nil {
			return fmt.Errorf("waiting for %d providers in the registry: %w", n, err)
		}
		if len(snapshot.Providers) >= n {
			return nil
		}
	}
}

// close ends everything that was opened, whatever state it is in.
func (st *stage) close() (err error) {
	if st.web != nil {
		err = st.web.close()
	}
	for _, c := range []client.SGClient{st.visitors, st.client} {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	for _, p := range append(st.dead, st.providers...) {
		err = errors.Join(err, p.close())
	}
	if st.registry != nil {
		err = errors.Join(err, st.registry.Close())
	}
	return err
}

// state is how a provider stands, for the table.
func (st *stage) state(key string) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.states[key]
}

func (st *stage) setState(key, state string) {
	st.mu.Lock()
	st.states[key] = state
	st.mu.Unlock()
}
