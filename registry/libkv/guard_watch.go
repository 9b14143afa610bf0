package libkv

import (
	"context"
	"errors"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry"
)

var (
	// errReplaced ends a watch whose store was given up.
	errReplaced = errors.New("the store did not answer and was replaced")
	// errWatchClosed ends a watch that the store closed.
	errWatchClosed = errors.New("the store closed the watch")
)

// armed is a watch, and the store that it holds a use of.
type armed struct {
	store  *guarded
	events <-chan *store.KVPair
	stop   chan struct{}
}

// watch calls hint whenever key may have changed, until ctx ends, the store
// ends the watch, or is replaced; it returns the reason. Most stores give a
// first hint at once. hint is called without locks, never concurrently, and
// must not block. store.ErrCallNotSupported says that the store has no watches,
// store.ErrKeyNotFound that it has none on a missing key.
func (g *guard) watch(ctx context.Context, key string, hint func()) error {
	w, err := guardedCall(ctx, g, call[armed]{op: "watch", key: key, late: g.disarm, do: func(st *guarded) (armed, error) {
		stop := make(chan struct{})
		events, err := st.kv.Watch(key, stop)
		if err == nil && events == nil {
			err = errWatchClosed
		}
		if err == nil {
			g.arm(st)
		}
		return armed{st, events, stop}, err
	}})
	if err != nil {
		return err
	}
	defer g.disarm(w)
	for {
		select {
		case _, open := <-w.events:
			if !open {
				return &StoreError{Op: "watch", Key: key, Err: errWatchClosed}
			}
			hint()
		case <-w.store.retired:
			return g.watchRetired(key)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watchRetired says why a watch's store is used no more.
func (g *guard) watchRetired(key string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return registry.ErrClosed
	}
	return &StoreError{Op: "watch", Key: key, Err: errReplaced}
}

// arm has a watch hold its store, besides the call that made it, and close wait
// for it.
func (g *guard) arm(st *guarded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	st.uses++
	g.beginLocked()
}

// disarm stops a watch, and reads on until the store has noticed: a channel that
// nobody reads holds a goroutine of libkv's for ever. Until then the watch holds
// its store, since a call after Close would do so too.
func (g *guard) disarm(w armed) {
	close(w.stop)
	g.mu.Lock()
	g.draining++
	g.mu.Unlock()
	go func() {
		for range w.events { // hints that nobody needs
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.releaseLocked(w.store)
		g.draining--
		g.endLocked()
	}()
}
