package registry

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// Feed is the reading half of a Registry: it holds the newest snapshot and
// hands it to any number of readers, each at its own pace. A slow reader delays
// nobody and skips what it missed. The zero value is ready, and has no list
// yet. All methods may be called concurrently; a Feed starts no goroutine and
// must not be copied after first use.
type Feed struct {
	mu sync.Mutex
	// Guarded by mu. current is replaced, never written into, so a reader may
	// copy it after unlocking.
	current Snapshot
	changed chan struct{} // closed at the next change; nil while nobody waits
	closed  bool
}

// Publish makes ps, sorted by ProviderKey, and s the newest snapshot; of
// several providers with one key the last counts. left are the keys of those
// that unregistered lately, see [Snapshot]; of them those that are listed again
// are passed over. It reports whether anything differs from before: if nothing
// does, the revision stays and nobody is woken. It copies its arguments. After
// Close it does nothing.
func (f *Feed) Publish(ps []Provider, s State, left ...string) bool {
	next := Snapshot{Providers: sorted(ps), State: s}
	next.Left = notListed(left, next.Providers)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.current.Revision > 0 && sameContent(f.current, next) {
		return false
	}
	next.Revision = f.current.Revision + 1
	f.current = next
	f.wakeLocked()
	return true
}

// Providers is Registry.Providers.
func (f *Feed) Providers(ctx context.Context) ([]Provider, State, error) {
	s, err := f.wait(ctx, 0, nil)
	return s.Providers, s.State, err
}

// Watch is Registry.Watch.
func (f *Feed) Watch() (Watcher, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	return &feedWatcher{feed: f, done: make(chan struct{})}, nil
}

// Close ends every wait in Providers and Next with [ErrClosed]. It may be
// called more than once.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.wakeLocked()
}

// Err returns [ErrClosed] after Close, else nil.
func (f *Feed) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	return nil
}

func (f *Feed) wakeLocked() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// wait returns a copy of the first snapshot whose revision is above seen. It
// ends early with ctx's error, with ErrClosed, or, where done is not nil and
// closed, with ErrWatcherClosed.
func (f *Feed) wait(ctx context.Context, seen uint64, done <-chan struct{}) (Snapshot, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Snapshot{}, err
		}
		current, changed, err := f.look(seen)
		if err != nil {
			return Snapshot{}, err
		}
		if changed == nil {
			current.Providers = cloneAll(current.Providers)
			current.Left = slices.Clone(current.Left)
			return current, nil
		}
		select {
		case <-changed:
		case <-done:
			return Snapshot{}, ErrWatcherClosed
		case <-ctx.Done():
		}
	}
}

// look returns the current snapshot if its revision is above seen, else the
// channel that is closed at the next change.
func (f *Feed) look(seen uint64) (current Snapshot, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return Snapshot{}, nil, ErrClosed
	}
	if f.current.Revision > seen {
		return f.current, nil, nil
	}
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return Snapshot{}, f.changed, nil
}

type feedWatcher struct {
	feed *Feed
	done chan struct{} // closed by Close

	mu sync.Mutex
	// Guarded by mu.
	seen   uint64 // the newest revision delivered
	closed bool
}

// Next implements Watcher.
func (w *feedWatcher) Next(ctx context.Context) (Snapshot, error) {
	for {
		seen, err := w.position()
		if err != nil {
			return Snapshot{}, err
		}
		s, err := w.feed.wait(ctx, seen, w.done)
		if err != nil {
			return Snapshot{}, err
		}
		if w.claim(s.Revision) {
			return s, nil
		}
		// A concurrent Next has delivered this one: wait for a newer.
	}
}

func (w *feedWatcher) position() (seen uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, ErrWatcherClosed
	}
	return w.seen, nil
}

func (w *feedWatcher) claim(revision uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || revision <= w.seen {
		return false
	}
	w.seen = revision
	return true
}

// Close implements Watcher.
func (w *feedWatcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		close(w.done)
	}
	return nil
}

// sorted returns deep copies of ps by key, the last of each key.
func sorted(ps []Provider) []Provider {
	last := make(map[string]Provider, len(ps))
	for _, p := range ps {
		last[p.ProviderKey] = p
	}
	out := make([]Provider, 0, len(last))
	for _, p := range last {
		out = append(out, p.Clone())
	}
	slices.SortFunc(out, func(a, b Provider) int { return cmp.Compare(a.ProviderKey, b.ProviderKey) })
	return out
}

// notListed returns those of keys, sorted and each once, that no provider of ps
// has. ps is sorted.
func notListed(keys []string, ps []Provider) []string {
	out := slices.Clone(keys)
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(key string) bool {
		_, listed := slices.BinarySearchFunc(ps, key, func(p Provider, key string) int { return cmp.Compare(p.ProviderKey, key) })
		return listed
	})
}

func sameContent(a, b Snapshot) bool {
	return a.State.same(b.State) && slices.Equal(a.Left, b.Left) && slices.EqualFunc(a.Providers, b.Providers, Provider.Equal)
}
