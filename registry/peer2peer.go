package registry

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Peer2PeerRegistry is a list of providers written in code, for programs that
// know their peers. It is always [Fresh], and all its methods may be called
// concurrently. Make it with [NewPeer2PeerRegistry]; one value may be given to
// many servers and clients.
//
// The list is what WithProvider makes of it. Register and
// Unregister check their arguments and change nothing: a server can be given
// the same registry as its clients, its restart takes nobody's address away,
// and a provider that listens on a wildcard address does not list that beside
// the address written here.
type Peer2PeerRegistry struct {
	feed Feed

	mu sync.Mutex
	// Guarded by mu, which is held while publishing so that the feed sees
	// changes in the order in which they were made.
	providers []Provider
	invalid   error // the first provider that could not be listed
	started   time.Time
}

var _ Registry = (*Peer2PeerRegistry)(nil)

// NewPeer2PeerRegistry returns an empty list.
func NewPeer2PeerRegistry() *Peer2PeerRegistry {
	r := &Peer2PeerRegistry{started: time.Now()}
	r.publishLocked() // nobody else has r yet
	return r
}

// WithProvider adds copies of p to the list, or replaces what has the same
// ProviderKey, and returns the same registry. ProviderKey may be empty, or
// Network and Addr may be. If one of p cannot be listed, none is, and
// Providers, Watch, Register and Unregister return its *[ProviderError] from
// then on: so a constructor that is given this registry fails.
func (r *Peer2PeerRegistry) WithProvider(p ...Provider) *Peer2PeerRegistry {
	ps, err := RegisterOption{}.Prepare("", p...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if r.invalid == nil {
			r.invalid = err
		}
		return r
	}
	r.providers = append(slices.DeleteFunc(slices.Clone(r.providers), isOneOf(ps)), ps...)
	r.publishLocked()
	return r
}

// isOneOf returns what reports whether a provider has the key of one of ps.
func isOneOf(ps []Provider) func(Provider) bool {
	keys := make(map[string]bool, len(ps))
	for _, p := range ps {
		keys[p.ProviderKey] = true
	}
	return func(p Provider) bool { return keys[p.ProviderKey] }
}

func (r *Peer2PeerRegistry) publishLocked() {
	r.feed.Publish(r.providers, State{Status: Fresh, Since: r.started})
}

// Register checks its arguments and changes nothing.
func (r *Peer2PeerRegistry) Register(ctx context.Context, o RegisterOption, p ...Provider) error {
	return r.check(ctx, o, p)
}

// Unregister checks its arguments and changes nothing.
func (r *Peer2PeerRegistry) Unregister(ctx context.Context, o RegisterOption, p ...Provider) error {
	return r.check(ctx, o, p)
}

func (r *Peer2PeerRegistry) check(ctx context.Context, o RegisterOption, p []Provider) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.usable(); err != nil {
		return err
	}
	_, err := o.Prepare("", p...)
	return err
}

// usable returns why the list cannot be used, if it cannot.
func (r *Peer2PeerRegistry) usable() error {
	if err := r.feed.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.invalid
}

// Providers returns a copy of the list.
func (r *Peer2PeerRegistry) Providers(ctx context.Context) ([]Provider, State, error) {
	if err := r.usable(); err != nil {
		return nil, State{}, err
	}
	return r.feed.Providers(ctx)
}

// Watch returns a Watcher whose first snapshot is the current list.
func (r *Peer2PeerRegistry) Watch() (Watcher, error) {
	if err := r.usable(); err != nil {
		return nil, err
	}
	return r.feed.Watch()
}

// Close ends the watchers. It may be called more than once and returns nil.
func (r *Peer2PeerRegistry) Close() error {
	r.feed.Close()
	return nil
}
