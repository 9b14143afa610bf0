package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// sgClient is a client of an application. Beside the workers of its core it
// owns one goroutine, the watch on the registry.
type sgClient struct {
	*core
	ctx     context.Context // of the watch and of drains; ends at Close
	cancel  context.CancelFunc
	watched chan struct{} // closed when the watch has ended

	ready     chan struct{}        // closed when a provider was listed, or none will be
	readyOnce sync.Once            // of closing ready
	viewing   sync.Mutex           // held while a new view is made of the old one; guards rebuildLater and restUntil
	view      atomic.Pointer[view] // replaced with viewing held, never changed
	stale     atomic.Bool          // a new view is about to be made
	whole     bool                 // no filter asks about each call
	measured  bool                 // the selector looks at what nodes have learnt
	patience  time.Duration        // of deadlines that speak of a provider, see breaker.go
	filtering sync.Pool            // of *[]*selector.Node, scratch for pick

	idempotent methodSet // methods that may run more than once
	hedged     methodSet // methods that are hedged
	latencies  latencies // of those, and of what calls ask for
	backoff    backoff.Policy
	budget     *budget // nil: any number of retries
	counts     counters
	swallowed  swallowed

	rebuildLater *time.Timer // when a breaker's window is over, or nil
	restUntil    time.Time   // no view is made before, but for a new list

	mu sync.Mutex
	// Guarded by mu:
	connections map[*connection]struct{} // all that are not closed: those listed, and those being drained
}

var _ SGClient = (*sgClient)(nil)

// NewSGClient returns a client of the application that op.Registry lists. It
// waits for nothing: calls wait for the registry's first provider, and each one
// is dialled when a call needs it. The error is an *OptionError, or what the
// registry's Watch said.
func NewSGClient(op SGOption) (SGClient, error) {
	option, err := op.complete()
	if err != nil {
		return nil, err
	}
	c := &sgClient{
		core:        newCore(option),
		watched:     make(chan struct{}),
		ready:       make(chan struct{}),
		connections: make(map[*connection]struct{}),
		whole:       len(option.Filters) == 0,
		patience:    option.patience(),
		backoff:     backoff.Policy{Initial: option.RetryBackoff, Max: option.RetryBackoffMax},
	}
	if c.idempotent, err = newMethodSet("Idempotent", option.Idempotent); err != nil {
		return nil, err
	}
	if c.hedged, err = newMethodSet("Hedged", option.Hedged); err != nil {
		return nil, err
	}
	if option.FailMode.persists() || option.AttemptTimeout > 0 {
		c.budget = newBudget(option.RetryBudget, option.RetryBudgetMin)
	}
	_, blind := option.Selector.(selector.Blind)
	c.measured = !blind
	if err := c.compose(c.invoke); err != nil {
		return nil, err
	}
	watcher, err := option.Registry.Watch()
	if err != nil {
		return nil, fmt.Errorf("client: option Registry: %w", err)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.watch(watcher)
	return c, nil
}

// invoke is the end of the chain.
func (c *sgClient) invoke(ctx context.Context, serviceMethod string, req, resp any) error {
	counted := c.counts.begin()
	defer counted.ended.Add(1)
	err := c.govern(ctx, counted, serviceMethod, req, resp)
	if err == nil {
		return nil
	}
	c.counts.failed(err)
	if c.option.FailMode == FailSafe {
		c.swallow(ctx, serviceMethod, req, resp, err)
		return nil
	}
	return err
}

// govern makes a call, with as many attempts as its fail mode takes.
func (c *sgClient) govern(ctx context.Context, counted *often, serviceMethod string, req, resp any) error {
	if err := c.gate.refusal(ctx); err != nil {
		return err
	}
	pc := perCallOf(ctx)
	if pc.err != nil {
		return pc.err
	}
	v, err := c.currentView(ctx)
	if err != nil {
		return err
	}
	var t target // no literal: that would be made beside it and copied
	t.info.ServiceMethod, t.info.Key, t.info.Tags = serviceMethod, pc.key, c.tagsOf(pc)
	t.call, t.oneway = pc, resp == Oneway
	if replies, all := resp.(Replies); all {
		t.stays = true // it is for each of them
		return c.broadcast(ctx, v, &t, req, replies)
	}
	m, err := c.pick(ctx, v, &t)
	if err != nil {
		return c.nobodyPicked(ctx, &t, err)
	}
	if f, several := resp.(*Forked); several {
		t.stays = true // it is at the others too
		return c.fork(ctx, v, m, &t, req, f)
	}
	counted.attempts.Add(1)
	if !c.single(&t) {
		return c.pursue(ctx, m, &t, req, resp)
	}
	if begun, known := endpoint.Begun(ctx); known && !c.measured {
		t.begun = begun
	} else {
		t.begun = time.Now()
	}
	c.budget.call(t.begun)
	if err = c.attempt(ctx, m, &t, req, resp); err == nil {
		return nil
	}
	return c.goOn(ctx, m, &t, req, resp, err)
}

// single reports whether the first attempt of a call has all the call's time, and
// no other beside it. Such a call has no pursuit until that attempt has failed:
// what a waiting caller has on its stack is to be small.
func (c *sgClient) single(t *target) bool {
	limit := c.option.AttemptTimeout
	switch {
	case limit > 0:
		return false
	case !c.option.FailMode.persists():
		return true
	case t.call.hedge || c.hedged.has(t.info.ServiceMethod):
		return false
	}
	return limit < 0 || !t.call.idempotent && !c.idempotent.has(t.info.ServiceMethod)
}

// Services implements SGClient.
func (c *sgClient) Services(ctx context.Context) ([]protocol.ServiceInfo, error) {
	ctx, bounded := c.bound(ctx, c.option.RequestTimeout)
	if bounded != nil {
		defer bounded.End()
	}
	v, err := c.currentView(ctx)
	if err != nil {
		return nil, funnel(err)
	}
	return v.services(), nil
}

// ProviderStatus is what a client knows of one provider.
type ProviderStatus struct {
	// Provider is what the registry lists.
	Provider registry.Provider
	// State is how the client stands with it.
	State State
	// Breaker is what its breaker does with calls; closed where there is none.
	Breaker BreakerState
	// Err is the last failure to reach it, or why it is Degraded; nil while it
	// is Connected.
	Err error
	// Unlisted says that the registry lists it no more, though its connection
	// answers: it is called until that ends.
	Unlisted bool
	// Excluded says why calls do not go there: its network is refused, its tags
	// differ, a filter keeps it out, or its breaker is open (a *BreakerError);
	// or why they go there only where nobody else is left: it is draining,
	// degraded, failing, or its weight is negative. Nil: they do.
	Excluded error
}

// Providers implements SGClient.
func (c *sgClient) Providers() []ProviderStatus {
	v := c.view.Load()
	if v == nil {
		return nil
	}
	list := make([]ProviderStatus, len(v.list))
	for i, m := range v.list {
		state, guard, err := m.conn.status()
		excluded := m.excluded
		if e := m.conn.broken(false); e != nil && excluded == nil {
			excluded = e // since the view was made
		}
		list[i] = ProviderStatus{Provider: m.provider().Clone(), State: state, Breaker: guard, Err: err, Unlisted: m.unlisted, Excluded: excluded}
	}
	return list
}

// Shutdown implements RPCClient.
func (c *sgClient) Shutdown(ctx context.Context) error {
	cut := c.gate.close(ctx) // with the watch: a call may wait for a provider to be listed
	c.endWatch()
	connections := c.all()
	errs := make([]error, len(connections))
	var wg sync.WaitGroup
	for i, n := range connections {
		wg.Go(func() { errs[i] = n.drain(ctx, ErrClosed) })
	}
	wg.Wait()
	return errors.Join(append(errs, cut, c.Close())...)
}

// Close implements RPCClient.
func (c *sgClient) Close() error {
	c.endWatch()
	connections := c.all()
	for _, n := range connections {
		n.cut(ErrClosed) // all at once: the peer of one may be slow to be left
	}
	c.markClosed()
	for _, n := range connections {
		n.close(ErrClosed)
	}
	c.workers.Close()
	return nil
}

// endWatch ends the watch and waits for it: no connection is made afterwards.
func (c *sgClient) endWatch() {
	c.cancel()
	<-c.watched
	c.viewing.Lock()
	c.rebuildAtLocked(time.Time{})
	c.viewing.Unlock()
}

func (c *sgClient) all() []*connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*connection, 0, len(c.connections))
	for n := range c.connections {
		list = append(list, n)
	}
	return list
}
