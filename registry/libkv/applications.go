package libkv

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/docker/libkv/store"
)

// Applications returns the keys of the applications that were ever registered
// below servicePath, sorted, whether they have a provider now or not. It opens the
// store for that and closes it; the arguments are those of [NewKVRegistry], but that
// servicePath may not be the root of the store, where more than applications stands.
//
// The error is an *[OptionError], a *[StoreError] or ctx's.
func Applications(ctx context.Context, backend store.Backend, servicePath string, addrs []string, cfg *store.Config) ([]string, error) {
	if err := known(backend); err != nil {
		return nil, err
	}
	key, err := parentKey(servicePath, "any")
	if err != nil {
		return nil, err
	}
	dir, below := strings.CutSuffix(key, "/any")
	if !below {
		return nil, &OptionError{Field: "ServicePath", Reason: "is the root of the store, whose children are not applications alone: ask for one application by its key"}
	}
	g := newGuard(nil, Opener(backend, addrs, cfg), 0)
	defer g.close()
	children, err := g.list(ctx, dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(children))
	for name := range children {
		if app, err := url.PathUnescape(name); err == nil { // else it is nobody's application
			names = append(names, app)
		}
	}
	slices.Sort(names)
	return names, nil
}
