package libkv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/log"
)

const (
	// defaultCallLimit is how long a call of the store may take.
	defaultCallLimit = 3 * time.Second
	// limitPerChild is added to the limit of a list for each child that is
	// expected: ZooKeeper's takes a round trip for each.
	limitPerChild = 20 * time.Millisecond
	// maxHung is how many calls may hang at one store. Further ones fail at
	// once.
	maxHung = 8
	// lateForReplacement is after how many late calls in a row another store is
	// opened.
	lateForReplacement = 3
	// replacementPause is the least time between two replacements.
	replacementPause = 10 * time.Second
)

// errReplaced ends a watch whose store was given up.
var errReplaced = errors.New("the store did not answer and was replaced")

// guard is the store as the rest of the package sees it: every call ends in
// time, whatever the store does, and the differences between stores are gone.
//
// Each call runs on a goroutine of its own, which is left behind when it is
// late. A store with late calls in a row is replaced where there is a way to
// open another; the old one is closed by its last returning call, because
// closing some clients earlier strands the calls for ever.
//
// Methods may run concurrently. Errors are *StoreError, ctx's, or one of the
// store's answers: see isAnswer.
type guard struct {
	open  func() (store.Store, error) // nil: the store cannot be replaced
	limit time.Duration
	ended chan struct{} // closed by close

	mu sync.Mutex
	// Guarded by mu.
	current   *guarded      // nil: to be opened
	opening   *opening      // in flight, or nil
	notBefore time.Time     // of the next replacement
	running   int           // goroutines
	idle      chan struct{} // closed when running is 0; nil while nobody waits
	isEnded   bool
	downSince time.Time // zero while the store answers
	expected  int       // children of the last list
	stats     StoreStats
}

// guarded is a store and what it has not returned from. guard.mu guards it.
type guarded struct {
	kv         store.Store
	own        bool // opened here, so closed here
	calls      int  // that have not returned
	hung       int  // of those, late
	lateInARow int
	retired    chan struct{} // closed when it is used no more
	isRetired  bool
}

// opening is a call of open that may take its time.
type opening struct {
	done chan struct{}
	err  error // set before done is closed
}

// newGuard returns a guard of kv, which stays the caller's, or of what open
// returns where kv is nil.
func newGuard(kv store.Store, open func() (store.Store, error), limit time.Duration) *guard {
	if limit <= 0 {
		limit = defaultCallLimit
	}
	g := &guard{open: open, limit: limit, ended: make(chan struct{})}
	if kv != nil {
		g.current = &guarded{kv: kv, retired: make(chan struct{})}
	}
	return g
}

// get returns the value of key, and what atomicDelete compares. It returns
// store.ErrKeyNotFound where there is none.
func (g *guard) get(ctx context.Context, key string) (*store.KVPair, error) {
	return guardedCall(ctx, g, call[*store.KVPair]{op: "get", key: key, do: func(kv store.Store) (*store.KVPair, error) {
		pair, err := kv.Get(key)
		if err == nil && pair == nil {
			err = store.ErrKeyNotFound
		}
		return pair, err
	}})
}

// put writes key, and the directories that it needs.
func (g *guard) put(ctx context.Context, key string, value []byte) error {
	_, err := guardedCall(ctx, g, call[struct{}]{op: "put", key: key, do: func(kv store.Store) (none struct{}, err error) {
		return none, kv.Put(key, value, nil)
	}})
	return err
}

// create writes key where there is none, in one step: readers never see it
// empty, as they do what put makes on ZooKeeper. It returns store.ErrKeyExists
// where there is one.
func (g *guard) create(ctx context.Context, key string, value []byte) error {
	_, err := guardedCall(ctx, g, call[struct{}]{op: "create", key: key, do: func(kv store.Store) (none struct{}, err error) {
		_, _, err = kv.AtomicPut(key, value, nil, nil)
		return none, err
	}})
	return err
}

// list returns the direct children of dir by name, none where dir is missing.
func (g *guard) list(ctx context.Context, dir string) (map[string]*store.KVPair, error) {
	g.mu.Lock()
	limit := g.limit + time.Duration(g.expected)*limitPerChild
	g.mu.Unlock()
	pairs, err := guardedCall(ctx, g, call[[]*store.KVPair]{op: "list", key: dir, limit: limit, do: func(kv store.Store) ([]*store.KVPair, error) {
		// With the slash, no store lists siblings that dir is a prefix of.
		return kv.List(dir + "/")
	}})
	if err != nil && !errors.Is(err, store.ErrKeyNotFound) {
		return nil, err
	}
	children := childrenOf(dir, pairs)
	g.mu.Lock()
	g.expected = len(children)
	g.mu.Unlock()
	return children, nil
}

// childrenOf makes one form of what stores list: the child's name alone, its
// key, its key with a leading slash, dir itself too, or all levels.
func childrenOf(dir string, pairs []*store.KVPair) map[string]*store.KVPair {
	children := make(map[string]*store.KVPair, len(pairs))
	for _, p := range pairs {
		name := strings.Trim(p.Key, "/")
		if name == dir {
			continue
		}
		if below, ok := strings.CutPrefix(name, dir+"/"); ok {
			name = below
		}
		if name != "" && !strings.Contains(name, "/") {
			children[name] = p
		}
	}
	return children
}

// atomicDelete removes key if its value is still that of prev. It returns
// store.ErrKeyModified if not, and store.ErrKeyNotFound where there is none.
// The value is compared first, since BoltDB's index says nothing across
// processes: there a write between the two steps is lost.
func (g *guard) atomicDelete(ctx context.Context, key string, prev *store.KVPair) error {
	now, err := g.get(ctx, key)
	if err != nil {
		return err
	}
	if string(now.Value) != string(prev.Value) {
		return store.ErrKeyModified
	}
	_, err = guardedCall(ctx, g, call[struct{}]{op: "delete", key: key, do: func(kv store.Store) (none struct{}, err error) {
		_, err = kv.AtomicDelete(key, now)
		return none, err
	}})
	return err
}

// watch calls hint whenever key may have changed, until ctx ends or the store
// ends the watch; it returns the reason. hint is called without locks, never
// concurrently, and must not block. store.ErrCallNotSupported says that the
// store has no watches, store.ErrKeyNotFound that it has none on a missing key.
func (g *guard) watch(ctx context.Context, key string, hint func()) error {
	stop := make(chan struct{})
	var at *guarded
	events, err := guardedCall(ctx, g, call[<-chan *store.KVPair]{
		op: "watch", key: key, at: &at,
		do:   func(kv store.Store) (<-chan *store.KVPair, error) { return kv.Watch(key, stop) },
		late: func(events <-chan *store.KVPair) { close(stop); drain(events) },
	})
	if err != nil {
		return err
	}
	defer g.spawn(func() { drain(events) }) // unread, it would hold a goroutine of the store's for ever
	defer close(stop)
	for {
		select {
		case _, open := <-events:
			if !open {
				return &StoreError{Op: "watch", Key: key, Err: errors.New("the store closed the watch")}
			}
			hint()
		case <-at.retired:
			return &StoreError{Op: "watch", Key: key, Err: errReplaced}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func drain(events <-chan *store.KVPair) {
	for events != nil {
		if _, open := <-events; !open {
			return
		}
	}
}

// faulty counts the calls that failed or were late since the guard was made.
func (g *guard) faulty() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stats.Faults
}

// snapshot returns the figures.
func (g *guard) snapshot() StoreStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	if g.current != nil {
		s.Hung = g.current.hung
	}
	return s
}

// close ends the guard: calls fail from now on, watches end. It waits for what
// is in flight no longer than the limit; what hangs then is left behind, since
// nothing can be done about it.
func (g *guard) close() {
	g.mu.Lock()
	if !g.isEnded {
		g.isEnded = true
		close(g.ended)
		g.retireLocked()
	}
	idle := make(chan struct{})
	if g.running == 0 {
		close(idle)
	} else if g.idle == nil {
		g.idle = idle
	} else {
		idle = g.idle
	}
	g.mu.Unlock()
	t := time.NewTimer(g.limit)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
		log.Warningf("libkv: the store hangs; what it was asked last is left behind")
	}
}

// spawn runs f on a goroutine that close waits for.
func (g *guard) spawn(f func()) {
	g.mu.Lock()
	g.spawnLocked(f)
	g.mu.Unlock()
}

func (g *guard) spawnLocked(f func()) {
	g.running++
	go func() {
		defer func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.running--; g.running == 0 && g.idle != nil {
				close(g.idle)
				g.idle = nil
			}
		}()
		f()
	}()
}

// isAnswer tells what a store says of its data from a call that failed.
func isAnswer(err error) bool {
	for _, answer := range []error{store.ErrKeyNotFound, store.ErrKeyModified, store.ErrKeyExists, store.ErrCallNotSupported} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// panicked makes an error of a panic in the store.
func panicked(p any) error { return fmt.Errorf("the store panicked: %v", p) }
