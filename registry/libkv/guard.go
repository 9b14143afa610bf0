package libkv

import (
	"context"
	"errors"
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
	// unknownLength is how many are expected before the first list came.
	unknownLength = 1000
	// maxListPatience is how often the limit of lists is doubled when they are
	// late one after the other, and maxListLimit where that ends. Many who list
	// much at once are slow for all of them: to give up and begin anew, each of
	// them, would keep them so.
	maxListPatience = 4
	maxListLimit    = 2 * time.Minute
	// maxCalls is how many calls may be under way at one store. Further ones
	// wait for their turn, no longer than the limit.
	maxCalls = 32
	// maxHung is after how many calls that hang at one store, because they are
	// late, further ones fail at once.
	maxHung = 8
	// drainWait is how long close waits for watches to notice that they were
	// stopped. Consul's take up to 15 s, and hold nothing.
	drainWait = 200 * time.Millisecond
)

// guard is the store as the rest of the package sees it: every call ends in
// time, whatever the store does, and the differences between stores are gone.
//
// Each call runs on a goroutine of its own, which is left behind when it is
// late or its context ends. A store with late calls in a row is replaced where
// there is a way to open another; the old one is closed by its last returning
// call, because closing some clients earlier strands the calls for ever.
//
// A call takes no longer than the limit from its start, and no longer than the
// limit before, should it have to wait for a store.
//
// Methods may run concurrently. Errors are *StoreError, ctx's,
// registry.ErrClosed after close, or one of the store's answers: see isAnswer.
type guard struct {
	open  func() (store.Store, error) // nil: the store cannot be replaced
	limit time.Duration

	mu sync.Mutex
	// Guarded by mu.
	current  *guarded // nil: to be opened
	opener   opener
	replacer replacer
	outage   outage
	stats    StoreStats
	expected int           // children of the last list
	lateList int           // lists in a row that were late
	listTook time.Duration // the last that was not
	running  int           // goroutines, and watches
	draining int           // of those, watches that were stopped
	idle     chan struct{} // closed when running is 0; nil while nobody waits
	closed   bool
	notes    []func() // log lines: see unlock
}

// newGuard returns a guard of kv, which stays the caller's, or of what open
// returns where kv is nil. A limit of 0 or less is the default.
func newGuard(kv store.Store, open func() (store.Store, error), limit time.Duration) *guard {
	if limit <= 0 {
		limit = defaultCallLimit
	}
	g := &guard{open: open, limit: limit, expected: unknownLength}
	if kv != nil {
		g.current = newGuarded(kv, false)
	}
	return g
}

// get returns the value of key, and what atomicDelete compares. It returns
// store.ErrKeyNotFound where there is none.
func (g *guard) get(ctx context.Context, key string) (*store.KVPair, error) {
	return guardedCall(ctx, g, call[*store.KVPair]{op: "get", key: key, do: func(st *guarded) (*store.KVPair, error) {
		pair, err := st.kv.Get(key)
		if err == nil && pair == nil {
			err = store.ErrKeyNotFound
		}
		return pair, err
	}})
}

// put writes key, and the directories that it needs. libkv's ZooKeeper makes
// those that are missing and leaves the values of the others alone.
func (g *guard) put(ctx context.Context, key string, value []byte) error {
	_, err := guardedCall(ctx, g, call[struct{}]{op: "put", key: key, do: func(st *guarded) (none struct{}, err error) {
		return none, st.kv.Put(key, value, nil)
	}})
	return err
}

// create writes key where there is none, in one step: readers never see it
// empty, as they do what put makes on ZooKeeper. It returns store.ErrKeyExists
// where there is one.
func (g *guard) create(ctx context.Context, key string, value []byte) error {
	_, err := guardedCall(ctx, g, call[struct{}]{op: "create", key: key, do: func(st *guarded) (none struct{}, err error) {
		_, _, err = st.kv.AtomicPut(key, value, nil, nil)
		return none, err
	}})
	return err
}

// list returns the direct children of dir by name, none where dir is missing.
func (g *guard) list(ctx context.Context, dir string) (map[string]*store.KVPair, error) {
	c := call[map[string]*store.KVPair]{op: opList, key: dir, limit: g.listLimit(), late: g.expect}
	c.do = func(st *guarded) (map[string]*store.KVPair, error) {
		// With the slash, no store lists siblings that dir is a prefix of.
		pairs, err := st.kv.List(dir + "/")
		return childrenOf(dir, pairs), err
	}
	began := time.Now()
	children, err := guardedCall(ctx, g, c)
	switch {
	case errors.Is(err, ErrHung):
		g.mu.Lock()
		g.lateList++
		g.mu.Unlock()
		return nil, err
	case err != nil && !errors.Is(err, store.ErrKeyNotFound):
		return nil, err
	}
	g.expect(children)
	g.mu.Lock()
	g.lateList, g.listTook = 0, time.Since(began)
	g.mu.Unlock()
	return children, nil
}

// listLimit is how long a list may take: by its length, or twice what the last one
// took, and more after late ones.
func (g *guard) listLimit() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	byLength := g.limit + time.Duration(g.expected)*limitPerChild
	limit := max(byLength, 2*g.listTook) << min(g.lateList, maxListPatience)
	return max(byLength, min(limit, maxListLimit))
}

// expect takes note of a list that came, in time or not.
func (g *guard) expect(children map[string]*store.KVPair) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected = len(children)
}

// childrenOf makes one form of what stores list: the child's name alone, its
// key, its key with a leading slash, dir itself too, siblings, or all levels.
func childrenOf(dir string, pairs []*store.KVPair) map[string]*store.KVPair {
	children := make(map[string]*store.KVPair, len(pairs))
	for _, p := range pairs {
		if p == nil {
			continue
		}
		name := strings.Trim(p.Key, "/")
		if name == dir {
			continue
		}
		if below, ok := strings.CutPrefix(name, dir+"/"); ok {
			name = strings.TrimLeft(below, "/")
		}
		if name != "" && !strings.Contains(name, "/") {
			children[name] = p
		}
	}
	return children
}

// atomicDelete removes key if its value is still that of prev, from get or
// list. It returns store.ErrKeyModified if not, and store.ErrKeyNotFound where
// there is none. The value is compared first, because BoltDB's index says
// nothing across processes (there a write between the two steps is lost) and
// that of ZooKeeper's lists is another node's.
func (g *guard) atomicDelete(ctx context.Context, key string, prev *store.KVPair) error {
	if prev == nil {
		return store.ErrPreviousNotSpecified
	}
	now, err := g.get(ctx, key)
	if err != nil {
		return err
	}
	if string(now.Value) != string(prev.Value) {
		return store.ErrKeyModified
	}
	_, err = guardedCall(ctx, g, call[struct{}]{op: "delete", key: key, do: func(st *guarded) (none struct{}, err error) {
		_, err = st.kv.AtomicDelete(key, now)
		return none, err
	}})
	return err
}

// close ends the guard: calls fail from now on with registry.ErrClosed, watches
// end, and stores that the guard opened are closed, each once its calls have
// returned. It waits for all that no longer than the limit; what hangs then is
// left behind, since nothing can be done about it, and still closes its store
// should it ever return. It may be called more than once.
func (g *guard) close() {
	g.mu.Lock()
	g.closed = true
	g.retireLocked()
	idle := g.idleLocked()
	g.unlock()
	if wait := min(drainWait, g.limit); g.calm(idle, wait) || g.calm(idle, g.limit-wait) {
		return
	}
	log.Warningf("libkv: the store hangs: what it was asked last is left behind")
}

// calm waits until nothing runs any more, and reports whether that is so, or
// there is nothing left but watches that are slow to notice that they were
// stopped.
func (g *guard) calm(idle <-chan struct{}, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running == g.draining
}

// idleLocked returns what is closed when no goroutine runs.
func (g *guard) idleLocked() <-chan struct{} {
	if g.idle == nil {
		g.idle = make(chan struct{})
		if g.running == 0 {
			close(g.idle)
		}
	}
	return g.idle
}

// spawnLocked runs f on a goroutine that close waits for.
func (g *guard) spawnLocked(f func()) {
	g.beginLocked()
	go func() {
		defer func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.endLocked()
		}()
		f()
	}()
}

// beginLocked and endLocked enclose what close waits for.
func (g *guard) beginLocked() {
	if g.running++; g.running == 1 {
		g.idle = nil
	}
}

func (g *guard) endLocked() {
	if g.running--; g.running == 0 && g.idle != nil {
		close(g.idle)
	}
}

// unlock unlocks mu, and then writes what was to be logged meanwhile: a log
// handler is foreign code, which may be slow or ask for our statistics.
func (g *guard) unlock() {
	notes := g.notes
	g.notes = nil
	g.mu.Unlock()
	for _, note := range notes {
		note()
	}
}
