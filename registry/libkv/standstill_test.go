package libkv_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/fakestore"
)

// fullDisk is a connection to a store that answers reads, and refuses writes while
// full: etcd with a NOSPACE alarm, BoltDB on a full disk, ACLs that were taken back.
type fullDisk struct {
	store.Store
	full *atomic.Bool
}

var errFull = errors.New("etcdserver: mvcc: database space exceeded")

func (d fullDisk) Put(key string, value []byte, o *store.WriteOptions) error {
	if d.full.Load() {
		return errFull
	}
	return d.Store.Put(key, value, o)
}

func (d fullDisk) AtomicPut(key string, value []byte, previous *store.KVPair, o *store.WriteOptions) (bool, *store.KVPair, error) {
	if d.full.Load() {
		return false, nil, errFull
	}
	return d.Store.AtomicPut(key, value, previous, o)
}

func (d fullDisk) AtomicDelete(key string, previous *store.KVPair) (bool, error) {
	if d.full.Load() {
		return false, errFull
	}
	return d.Store.AtomicDelete(key, previous)
}

// onDisk is a registry whose store is full when full is.
func (w *world) onDisk(full *atomic.Bool, change func(*libkv.Option)) *libkv.KVRegistry {
	return w.open(func(o *libkv.Option) {
		o.Open = func() (store.Store, error) { return fullDisk{w.server.Open(), full}, nil }
		if change != nil {
			change(o)
		}
	})
}

// A store that takes no writes is no worse than one that is down: who is listed stays
// so for as long as that lasts, whether a consumer was there before or comes in the
// midst of it, and afterwards nobody is dropped or swept before it could refresh.
func TestStoreThatRefusesWrites(t *testing.T) {
	for _, n := range []int{2, 3, 10} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "providers.json")
			inBubble(t, fakestore.Faults{}, func(w *world) {
				var full atomic.Bool
				before := w.onDisk(&full, func(o *libkv.Option) { o.SnapshotFile = file })
				for i := range n {
					r := w.onDisk(&full, nil)
					if err := r.Register(w.Context(), registry.RegisterOption{TTL: ttl}, at(i)); err != nil {
						w.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				w.until(before, n, time.Second)
				time.Sleep(20 * time.Second)
				full.Store(true)
				time.Sleep(time.Second)
				amid := w.onDisk(&full, nil)
				w.want(amid, time.Second, n, registry.Fresh)
				for range 45 { // until all stand still, the first to do so counts as crashed
					time.Sleep(time.Second)
					if n, state := w.listed(before); n == 0 {
						w.Fatalf("no provider, %v", state)
					}
				}
				for range 60 {
					w.want(before, time.Minute, n, registry.Doubted)
					w.want(amid, 0, n, registry.Doubted)
				}
				lists := before.Stats().Reader.Lists
				time.Sleep(10 * time.Minute)
				if n := before.Stats().Reader.Lists - lists; n > 100 {
					w.Errorf("%d lists in ten minutes", n)
				}
				full.Store(false)
				w.want(before, ttl, n, registry.Fresh)
				for range 100 {
					w.want(before, time.Second, n, registry.Fresh)
					w.want(amid, 0, n, registry.Fresh)
				}
				if n := w.server.Calls("delete"); n != 0 {
					w.Errorf("%d entries were swept", n)
				}
				_ = before.Close()
				w.wantSaved(file, n)
			})
		})
	}
}

// An application whose providers all died at once cannot be told from one whose store
// refuses writes, so it stays listed, as doubted: until somebody writes.
func TestAllCrashAtOnce(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		var doomed []*libkv.KVRegistry
		for i := range 4 {
			r, _ := w.serve(i)
			doomed = append(doomed, r)
		}
		w.until(consumer, 4, time.Second)
		time.Sleep(time.Minute)
		for _, r := range doomed {
			crash(r)
		}
		w.want(consumer, 10*time.Minute, 4, registry.Doubted)
		w.serve(9)
		w.until(consumer, 5, time.Second)
		w.until(consumer, 1, 3*ttl)
		w.want(consumer, ttl, 1, registry.Fresh)
	})
}

// Where one is left that refreshes its entry, the store takes writes: the others
// crashed, also when that one follows them.
func TestAllButOneCrashAtOnce(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		w.serve(0)
		var doomed []*libkv.KVRegistry
		for i := range 5 {
			r, _ := w.serve(i + 1)
			doomed = append(doomed, r)
		}
		w.until(consumer, 6, time.Second)
		time.Sleep(time.Minute)
		for _, r := range doomed {
			crash(r)
		}
		if took := w.until(consumer, 1, 3*ttl); took > 5*ttl/2 {
			w.Errorf("gone after %v; their TTL is %v", took, ttl)
		}
		w.want(consumer, 3*ttl, 1, registry.Fresh)
	})
}
