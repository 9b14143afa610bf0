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

// attemptTimeout is how soon the client turns from a provider that is silent: in
// less than a pause of the show lasts, and longer than a busy machine takes.
const attemptTimeout = 500 * time.Millisecond

// Where the client and its providers are: the client calls those of its own idc.
const (
	idcTag  = "idc"
	homeIDC = "lf"
	awayIDC = "yf"
)

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
	states map[string]string             // by provider key, as the table shows them
	seen   map[string]client.StateChange // by provider key: what the client last told
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
	st.govern(&op)
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
	op.Tagged, op.Tags = true, map[string]string{idcTag: homeIDC}
	if st.visitors, err = client.NewSGClient(op); err != nil {
		return err
	}
	st.web, err = openWeb(st.settings.web, st.visitors)
	return err
}

// govern has the client see by itself who should not be called. All methods only
// compute, so that a call may be made again wherever it ended.
func (st *stage) govern(op *client.SGOption) {
	op.FailMode, op.Retries, op.Idempotent = client.FailOver, 4, []string{"*"}
	op.AttemptTimeout = attemptTimeout
	op.CircuitBreakerThreshold = max(1, st.settings.callers/2) // so many callers a paused provider soon has
	op.CircuitBreakerWindow = attemptTimeout
	op.HeartbeatInterval, op.HeartbeatDegradeThreshold = attemptTimeout/2, 2
	op.Tagged, op.Tags = true, map[string]string{idcTag: homeIDC}
	op.OnStateChange = st.changed
}

// changed tells what the client has found out about a provider.
func (st *stage) changed(c client.StateChange) {
	key := registry.JoinKey(c.Network, c.Addr)
	st.mu.Lock()
	before := st.seen[key]
	st.seen[key] = c
	st.mu.Unlock()
	switch {
	case c.State == client.Degraded && before.State != client.Degraded:
		st.display.say("  %s does not answer heartbeats: degraded", c.Addr)
	case c.State == client.Connected && before.State == client.Degraded:
		st.display.say("  %s answers heartbeats again", c.Addr)
	}
	switch {
	case c.Breaker == client.BreakerOpen && before.Breaker == client.BreakerClosed:
		st.display.say("  calls at %s fail: its breaker is open", c.Addr)
	case c.Breaker == client.BreakerClosed && before.Breaker != client.BreakerClosed:
		st.display.say("  a probe at %s went well: its breaker is closed", c.Addr)
	}
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

// standing is how a provider stands, for the table: what it is, which the stage
// knows, and what the client makes of it.
func (st *stage) standing(key string) standing {
	s := standingOf(st.client, key)
	st.mu.Lock()
	defer st.mu.Unlock()
	s.state = st.states[key]
	return s
}

func (st *stage) setState(key, state string) {
	st.mu.Lock()
	st.states[key] = state
	st.mu.Unlock()
}
