package dubbo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// Registry lists the providers of one Dubbo interface, and this process among
// them or its consumers. Make it with [NewRegistry]; all its methods may be called
// concurrently. It owns one goroutine, which connects to ZooKeeper and holds the
// session, beside those of the connection; Close waits for all.
type Registry struct {
	option    Option
	providers string // the path of the providers
	consumers string
	started   time.Time
	feed      registry.Feed

	ctx     context.Context
	cancel  context.CancelFunc
	jobs    chan *job
	refresh chan struct{} // room for one
	owed    chan struct{} // room for one: something of leaving is the keeper's to remove
	done    chan struct{} // closed when the keeper has ended

	mu sync.Mutex
	// Guarded by mu.
	wanted  map[string]entry             // what is registered here, by ProviderKey
	leaving map[string]registry.Provider // what was, and may still have a node of this session, by ProviderKey
	present map[string]bool              // the nodes that the last list held
	failure error                        // why there is no session; nil while there is one
}

// entry is a provider that is registered here.
type entry struct {
	provider registry.Provider
	node     string
}

// yieldsTo reports whether e leaves its key to listed, which has it: nobody says of
// another instance that it drains.
func (e entry) yieldsTo(listed registry.Provider) bool {
	return e.provider.Draining && listed.Supersedes(e.provider)
}

// superseded says why e is not written.
func (e entry) superseded() error {
	return fmt.Errorf("%s is not marked as draining: %w", e.provider.ProviderKey, registry.ErrSuperseded)
}

var (
	_ registry.Registry  = (*Registry)(nil)
	_ registry.AppKeyed  = (*Registry)(nil)
	_ registry.Located   = (*Registry)(nil)
	_ registry.Presence  = (*Registry)(nil)
	_ registry.Refresher = (*Registry)(nil)
)

// NewRegistry returns a registry, which connects in the background: ZooKeeper may
// be down. The error is an *[OptionError].
func NewRegistry(o Option) (*Registry, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	base := o.Root + "/" + url.QueryEscape(o.Interface)
	r := &Registry{
		option:    o,
		providers: base + "/providers",
		consumers: base + "/consumers",
		started:   time.Now(),
		jobs:      make(chan *job),
		refresh:   make(chan struct{}, 1),
		owed:      make(chan struct{}, 1),
		done:      make(chan struct{}),
		wanted:    make(map[string]entry),
		leaving:   make(map[string]registry.Provider),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	go r.keep()
	return r, nil
}

// AppKey implements registry.AppKeyed: it is the interface's name.
func (r *Registry) AppKey() string { return r.option.Interface }

// Addrs implements registry.Located.
func (r *Registry) Addrs() []string { return slices.Clone(r.option.Servers) }

// Refresh implements registry.Refresher: the list is read at most once a second
// for it.
func (r *Registry) Refresh() {
	select {
	case r.refresh <- struct{}{}:
	default: // one is on its way
	}
}

// Register implements registry.Registry. It waits for ZooKeeper to have written
// p, and goes on trying in the background when ctx ends before, until Unregister
// or Close. TTL and Interval are ignored: an entry ends with its session. A
// registry of Any group or version registers nothing.
func (r *Registry) Register(ctx context.Context, o registry.RegisterOption, p ...registry.Provider) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prepared, err := r.prepare(o, p)
	if err != nil {
		return err
	}
	entries := make([]entry, len(prepared))
	for i, p := range prepared {
		node, err := r.option.nodeOf(p)
		if err != nil {
			return err
		}
		entries[i] = entry{p, node}
	}
	entries, superseded := r.want(entries)
	if superseded != nil && len(entries) == 0 {
		return superseded
	}
	return errors.Join(superseded, r.do(ctx, func(s *session) error { return r.writeAll(s, entries) }))
}

// want makes entries what is registered here, but for those that drain and have a
// successor here, which superseded names.
func (r *Registry) want(entries []entry) (wanted []entry, superseded error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		if has, ok := r.wanted[e.provider.ProviderKey]; ok && e.yieldsTo(has.provider) {
			superseded = errors.Join(superseded, e.superseded())
			continue
		}
		r.wanted[e.provider.ProviderKey] = e
		delete(r.leaving, e.provider.ProviderKey)
		wanted = append(wanted, e)
	}
	return wanted, superseded
}

// writeAll writes those of entries that are wanted still. That a successor has taken
// the place of one keeps no other out.
func (r *Registry) writeAll(s *session, entries []entry) error {
	var superseded []error
	for _, e := range entries {
		if !r.wants(e) {
			continue // an Unregister or another Register came first
		}
		err := r.write(s, e)
		if err != nil && !errors.Is(err, registry.ErrSuperseded) {
			return err
		}
		superseded = append(superseded, err)
	}
	return errors.Join(superseded...)
}

// wants reports whether e is what is registered here: callers that wait for a session
// are not served in the order in which they came. What is changed meanwhile has a job
// of its own, which comes after this one.
func (r *Registry) wants(e entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted[e.provider.ProviderKey].node == e.node
}

// Unregister implements registry.Registry. What this process registered is removed
// in the background when the error says that ZooKeeper could not be told, or that ctx
// had ended, and ends with the session at the latest.
func (r *Registry) Unregister(ctx context.Context, o registry.RegisterOption, p ...registry.Provider) error {
	prepared, err := r.prepare(o, p)
	if err != nil {
		return err
	}
	r.dismiss(prepared)
	if err = ctx.Err(); err == nil {
		err = r.do(ctx, func(s *session) error { return r.removeAll(s, prepared) })
	}
	if err != nil {
		select {
		case r.owed <- struct{}{}:
		default: // the keeper will look anyway
		}
	}
	return err
}

// dismiss has ps wanted no more.
func (r *Registry) dismiss(ps []registry.Provider) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range ps {
		if e, ok := r.wanted[p.ProviderKey]; ok && !e.provider.Supersedes(p) {
			delete(r.wanted, p.ProviderKey)
			r.leaving[p.ProviderKey] = e.provider
		}
	}
}

func (r *Registry) removeAll(s *session, ps []registry.Provider) error {
	for _, p := range ps {
		if err := r.remove(s, p); err != nil {
			return err
		}
		r.removed(p)
	}
	return nil
}

// removed notes that nothing of p stands in this session. Of a successor that left its
// key too something may.
func (r *Registry) removed(p registry.Provider) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.leaving[p.ProviderKey].Supersedes(p) {
		delete(r.leaving, p.ProviderKey)
	}
}

// left notes that nothing of this session stands under keys, unless they are wanted
// again.
func (r *Registry) left(keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		delete(r.leaving, key)
	}
}

func (r *Registry) prepare(o registry.RegisterOption, ps []registry.Provider) ([]registry.Provider, error) {
	if err := r.feed.Err(); err != nil {
		return nil, err
	}
	if r.option.Group == Any || r.option.Version == Any {
		return nil, &OptionError{"Group", "or Version is *: a registry that lists any cannot register"}
	}
	return o.Prepare(r.option.Interface, ps...)
}

// Registered implements registry.Presence.
func (r *Registry) Registered(p registry.Provider) (ok bool, err error) {
	p, err = p.Complete()
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, wanted := r.wanted[p.ProviderKey]
	if wanted && e.provider.Supersedes(p) {
		return false, fmt.Errorf("%w in this process", registry.ErrSuperseded)
	}
	return wanted && r.failure == nil && r.present[e.node], r.failure
}

// Providers implements registry.Registry.
func (r *Registry) Providers(ctx context.Context) ([]registry.Provider, registry.State, error) {
	return r.feed.Providers(ctx)
}

// Watch implements registry.Registry.
func (r *Registry) Watch() (registry.Watcher, error) { return r.feed.Watch() }

// Endpoints returns the URLs at which the providers that take calls are reached,
// sorted: "http://host:port/path". Providers of other protocols than jsonrpc and
// http are left out, and those whose address no URL holds. It waits as Providers does.
func (r *Registry) Endpoints(ctx context.Context) ([]string, error) {
	providers, _, err := r.Providers(ctx)
	if err != nil {
		return nil, err
	}
	var endpoints []string
	for _, p := range providers {
		if p.Draining || p.Network != DefaultProtocol && p.Network != "http" {
			continue
		}
		if host, path, simple := r.option.splitAddr(p.Addr); simple {
			endpoints = append(endpoints, "http://"+host+"/"+path)
		}
	}
	return endpoints, nil
}

// Close implements registry.Registry. The session ends with it, and with that what
// is registered here.
func (r *Registry) Close() error {
	r.feed.Close()
	r.cancel()
	<-r.done
	return nil
}

// entries returns what is registered here.
func (r *Registry) entries() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.wanted))
}
