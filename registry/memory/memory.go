// Package memory is a registry inside one process: for tests, demonstrations,
// and programs whose servers and clients live together. It talks to nobody, so
// its list is always fresh, and changes are seen at once.
package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// Registry lists the providers of one application in this process. Make it
// with [NewRegistry]; any number of servers and clients share one value, and
// all its methods may be called concurrently. It starts no goroutine, and an
// entry stays until it is unregistered: TTL and Interval are ignored.
type Registry struct {
	appKey  string
	started time.Time
	feed    registry.Feed

	mu sync.Mutex
	// Guarded by mu, which is held while publishing so that the feed sees
	// changes in the order in which they were made.
	providers map[string]registry.Provider // by ProviderKey
	left      []string                     // keys of those that unregistered, the last one last
}

// maxLeft is how many of those that unregistered are remembered.
const maxLeft = 256

var (
	_ registry.Registry = (*Registry)(nil)
	_ registry.AppKeyed = (*Registry)(nil)
)

// NewRegistry returns an empty registry for the application appKey. An empty
// appKey agrees with every RegisterOption.AppKey.
func NewRegistry(appKey string) *Registry {
	r := &Registry{
		appKey:    appKey,
		started:   time.Now(),
		providers: make(map[string]registry.Provider),
	}
	r.publishLocked() // nobody else has r yet
	return r
}

// AppKey implements registry.AppKeyed.
func (r *Registry) AppKey() string { return r.appKey }

// Register implements registry.Registry.
func (r *Registry) Register(ctx context.Context, o registry.RegisterOption, p ...registry.Provider) error {
	return r.change(ctx, o, p, r.listLocked)
}

func (r *Registry) listLocked(p registry.Provider) error {
	if listed, ok := r.providers[p.ProviderKey]; ok && p.Draining && listed.Supersedes(p) {
		return fmt.Errorf("%s is not marked as draining: %w", p.ProviderKey, registry.ErrSuperseded)
	}
	r.providers[p.ProviderKey] = p
	return nil
}

// Unregister implements registry.Registry.
func (r *Registry) Unregister(ctx context.Context, o registry.RegisterOption, p ...registry.Provider) error {
	return r.change(ctx, o, p, r.removeLocked)
}

func (r *Registry) removeLocked(p registry.Provider) error {
	listed, ok := r.providers[p.ProviderKey]
	if !ok || listed.Supersedes(p) {
		return nil
	}
	delete(r.providers, p.ProviderKey)
	r.left = append(r.left, p.ProviderKey)
	r.left = r.left[max(0, len(r.left)-maxLeft):]
	return nil
}

// change applies one step for each provider and publishes the result once.
func (r *Registry) change(ctx context.Context, o registry.RegisterOption, ps []registry.Provider, applyLocked func(registry.Provider) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prepared, err := o.Prepare(r.appKey, ps...)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.feed.Err(); err != nil {
		return err
	}
	var errs []error
	for _, p := range prepared {
		errs = append(errs, applyLocked(p))
	}
	r.publishLocked()
	return errors.Join(errs...)
}

func (r *Registry) publishLocked() {
	r.feed.Publish(slices.Collect(maps.Values(r.providers)), registry.State{Status: registry.Fresh, Since: r.started}, r.left...)
}

// Providers implements registry.Registry. It never waits.
func (r *Registry) Providers(ctx context.Context) ([]registry.Provider, registry.State, error) {
	return r.feed.Providers(ctx)
}

// Watch implements registry.Registry.
func (r *Registry) Watch() (registry.Watcher, error) { return r.feed.Watch() }

// Close implements registry.Registry: for everyone who shares the value.
func (r *Registry) Close() error {
	r.feed.Close()
	return nil
}
