package registry

import (
	"context"
	"time"
)

// Registry is where the providers of one application are listed. All methods
// may be called concurrently.
//
// A registry may be unreachable for as long as it likes. Writing then fails or
// is repeated in the background, as the implementation documents; reading goes
// on from the last good list, and [State] says how old that is.
type Registry interface {
	// Register lists p under the application, or updates what is listed under
	// the same ProviderKey: registering again is how weight, tags, version,
	// services or draining are changed. All of p is checked before any of it
	// is written. Readers see the change soon, not necessarily at once.
	//
	// It returns a *[ProviderError] or an *[AppKeyError] for arguments that
	// cannot be listed, [ErrClosed] after Close, and ctx's error when that
	// ends first. A Draining p whose key another instance has now changes nothing
	// of that: [ErrSuperseded]. p and what it refers to stay the caller's.
	Register(ctx context.Context, o RegisterOption, p ...Provider) error

	// Unregister removes p by ProviderKey. An entry whose Started differs from
	// that of p belongs to a successor on the same address and stays; a p
	// whose Started is zero removes whatever stands there. It is no error that
	// nothing does. Otherwise it fails as Register does; what kept p listed has ended
	// then too, so that p is listed no longer than one who crashed.
	Unregister(ctx context.Context, o RegisterOption, p ...Provider) error

	// Providers returns the newest list known, sorted by ProviderKey, as a
	// copy that is the caller's own, and how far it can be trusted. It waits
	// only for the first list, and only until ctx ends; it then returns
	// [NeverReached] with ctx's error. After Close it returns [ErrClosed].
	Providers(ctx context.Context) ([]Provider, State, error)

	// Watch returns a new Watcher, independent of all others. It fails with
	// [ErrClosed] after Close. The caller closes the Watcher.
	Watch() (Watcher, error)

	// Close ends the registry and all its watchers, waits for the goroutines
	// that the registry owns, and may be called more than once. It does not
	// unregister: whoever registered does that before.
	Close() error
}

// Watcher delivers the lists of one Registry. Next and Close may run
// concurrently; concurrent calls of Next share the snapshots between them.
type Watcher interface {
	// Next returns the newest snapshot that this Watcher has not delivered
	// yet, and waits where there is none. The first call returns the current
	// list as soon as there is one. A slow watcher sees the newest snapshot
	// and skips what was between. The snapshot is the caller's own.
	//
	// It returns ctx's error when that ends first, [ErrWatcherClosed] after
	// Close, and [ErrClosed] after the Registry's Close.
	Next(ctx context.Context) (Snapshot, error)

	// Close ends the Watcher and wakes Next. It may be called more than once
	// and returns nil.
	Close() error
}

// Snapshot is the whole list of providers at one moment.
type Snapshot struct {
	// Providers is sorted by ProviderKey.
	Providers []Provider
	// Revision grows with every change of Providers or State. It compares
	// snapshots of one Registry value and means nothing between two.
	Revision uint64
	// State says how far the list can be trusted.
	State State
	// Left holds the ProviderKeys of some that are not listed because they
	// unregistered: the last ones at least, sorted. Whoever vanished and does
	// not stand here was lost by the registry, or died.
	Left []string
}

// RegisterOption governs a registration. The zero value is a good one.
type RegisterOption struct {
	// AppKey names the application. Empty stands for the registry's own; one
	// that differs from the registry's is an *[AppKeyError].
	AppKey string

	// Advertise is the address that consumers dial, where it is not the one
	// listened on (containers, port mappings): a host, which keeps the port
	// listened on, or host:port. Empty keeps the provider's Addr. A port alone,
	// port 0 and 0.0.0.0, which nobody can dial, are refused. It does not touch
	// providers on unix and mem networks, which have no host.
	Advertise string

	// TTL is how long a provider that no longer refreshes its entry stays
	// listed. The default is 15 s; readers take it as at least 3 s and at most
	// 10 min. Registries without liveness of their own ignore it.
	TTL time.Duration

	// Interval is the time between two refreshes, a quarter more or less by
	// chance, and at most half of TTL. The default is a third of TTL. Neither may
	// be negative.
	Interval time.Duration
}

// AppKeyed is implemented by registries that know the application they serve.
// NewSGClient and NewSGServer compare it with their own AppKey and refuse to
// start on a mismatch. An empty AppKey agrees with every other.
type AppKeyed interface {
	AppKey() string
}
