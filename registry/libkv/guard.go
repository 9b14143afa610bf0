package libkv

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/libkv/store"
)

// guard is the store as the rest of the package sees it: every call ends in
// time, whatever the store does, and the differences between stores are gone.
// Its methods may run concurrently. Errors are *StoreError, store.ErrKeyNotFound
// wrapped or bare where something is missing, or ctx's.
type guard struct {
	kv     store.Store
	limit  time.Duration
	faults atomic.Uint64

	wg sync.WaitGroup
}

func newGuard(kv store.Store, open func() (store.Store, error), limit time.Duration) *guard {
	return &guard{kv: kv, limit: limit}
}

// faulty counts the calls that failed or were late since the guard was made.
func (g *guard) faulty() uint64 { return g.faults.Load() }

// get returns the value of key and what atomicDelete compares. It returns
// store.ErrKeyNotFound where there is none, which is no fault.
func (g *guard) get(ctx context.Context, key string) (pair *store.KVPair, err error) {
	err = g.do(ctx, "get", key, func(kv store.Store) (err error) {
		pair, err = kv.Get(key)
		return err
	})
	return pair, err
}

// put writes key, and what directories it needs.
func (g *guard) put(ctx context.Context, key string, value []byte) error {
	return g.do(ctx, "put", key, func(kv store.Store) error { return kv.Put(key, value, nil) })
}

// list returns the direct children of dir by name, none where dir is missing.
func (g *guard) list(ctx context.Context, dir string) (children map[string]*store.KVPair, err error) {
	err = g.do(ctx, "list", dir, func(kv store.Store) error {
		pairs, err := kv.List(dir + "/")
		if errors.Is(err, store.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		children = make(map[string]*store.KVPair, len(pairs))
		for _, p := range pairs {
			name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(p.Key, "/"), dir), "/")
			if name != "" && !strings.Contains(name, "/") {
				children[name] = p
			}
		}
		return nil
	})
	return children, err
}

// atomicDelete removes key if it is still as prev, from get, says. It returns
// store.ErrKeyModified if not and store.ErrKeyNotFound where there is none;
// neither is a fault.
func (g *guard) atomicDelete(ctx context.Context, key string, prev *store.KVPair) error {
	return g.do(ctx, "delete", key, func(kv store.Store) error {
		_, err := kv.AtomicDelete(key, prev)
		return err
	})
}

// watch calls hint, soon and never concurrently, whenever key may have changed, until ctx ends or
// the store ends the watch; it returns then, with the reason. hint must not
// block. store.ErrCallNotSupported says that the store has no watches.
func (g *guard) watch(ctx context.Context, key string, hint func()) error {
	stop := make(chan struct{})
	defer close(stop)
	events, err := g.kv.Watch(key, stop)
	if err != nil {
		return err
	}
	for {
		select {
		case _, ok := <-events:
			if !ok {
				return errors.New("the store closed the watch")
			}
			hint()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close ends the guard and waits, no longer than the limit, for calls in
// flight.
func (g *guard) close() {}

func (g *guard) do(ctx context.Context, op, key string, call func(store.Store) error) error {
	began := time.Now()
	err := call(g.kv)
	if err == nil || errors.Is(err, store.ErrKeyNotFound) || errors.Is(err, store.ErrKeyModified) {
		return err
	}
	g.faults.Add(1)
	return &StoreError{Op: op, Key: key, After: time.Since(began), Err: err}
}
