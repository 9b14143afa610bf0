package libkv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/docker/libkv/store"
	"github.com/google/uuid"

	"github.com/sinew-rpc/sinew/registry"
)

// maxEntry is what an entry may have: the stores' bounds are 512 KiB (Consul)
// and more.
const maxEntry = 512 << 10

// maxRemovals is how often a removal is tried against somebody who writes.
const maxRemovals = 5

// writer keeps the providers of this process in the store. Its methods may run
// concurrently. Each registration has a goroutine, and the sweeper one for all;
// close waits for them.
type writer struct {
	g      *guard
	parent string
	ctx    context.Context // of the loops
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	registrations map[string]*registration // by child name
	departed      map[string][]string      // leavers by child name, removed or perhaps so, and not announced yet
	sweeping      bool                     // the sweeper has begun
	stats         WriterStats
}

func newWriter(g *guard, parent string) *writer {
	w := &writer{g: g, parent: parent, registrations: make(map[string]*registration), departed: make(map[string][]string)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *writer) key(name string) string { return w.parent + "/" + name }

// register makes ps wanted and waits until each was written once, or failed to
// be: its loop goes on then. ps have been prepared.
func (w *writer) register(ctx context.Context, o registry.RegisterOption, ps []registry.Provider) error {
	if o.TTL < 0 || o.Interval < 0 {
		return &OptionError{Field: "RegisterOption", Reason: "has a negative TTL or Interval: an entry that nobody refreshes would outlive its provider"}
	}
	for _, p := range ps {
		if err := checkSize(p); err != nil {
			return err
		}
	}
	type wish struct {
		r   *registration
		gen uint64
	}
	var wishes []wish
	for _, p := range ps {
		r, gen, err := w.want(p, o)
		if err != nil {
			return err
		}
		wishes = append(wishes, wish{r, gen})
	}
	var errs []error
	for _, one := range wishes {
		if err := one.r.await(ctx, one.gen); err != nil {
			errs = append(errs, fmt.Errorf("%s is not registered yet, and goes on trying until Unregister: %w", one.r.name, err))
		}
	}
	return errors.Join(errs...)
}

func checkSize(p registry.Provider) error {
	e := entry{provider: p, instance: uuid.Nil.String(), stamp: newStamp()}
	value, err := e.encode()
	if err == nil && len(value) > maxEntry {
		err = &registry.ProviderError{ProviderKey: p.ProviderKey, Reason: fmt.Sprintf("takes %d bytes with its tags and services; at most %d fit an entry", len(value), maxEntry)}
	}
	return err
}

// want notes what is to be registered, and returns the generation that stands
// for it.
func (w *writer) want(p registry.Provider, o registry.RegisterOption) (*registration, uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return nil, 0, registry.ErrClosed
	}
	name := childName(p)
	r := w.registrations[name]
	begins := r == nil || r.ctx.Err() != nil
	if !begins && p.Draining {
		if current, _ := r.content(); current.Supersedes(p) {
			return nil, 0, fmt.Errorf("%s is not marked as draining: %w in this process", p.ProviderKey, registry.ErrSuperseded)
		}
	}
	if begins {
		r = newRegistration(w, name)
		w.registrations[name] = r
	}
	gen := r.wish(p, o)
	if begins {
		w.wg.Go(r.run)
	}
	if !w.sweeping {
		w.sweeping = true
		w.wg.Go(w.sweepLoop)
	}
	return r, gen, nil
}

// unregister removes ps, which have been prepared.
func (w *writer) unregister(ctx context.Context, ps []registry.Provider) error {
	var errs []error
	for _, p := range ps {
		if err := w.leave(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("%s is not unregistered: %w", p.ProviderKey, err))
		}
	}
	return errors.Join(errs...)
}

// leave removes p. What this process registered ends its loop first, and is
// forgotten when it has gone: until then another attempt knows its instance.
func (w *writer) leave(ctx context.Context, p registry.Provider) error {
	name := childName(p)
	w.mu.Lock()
	closed, r := w.ctx.Err() != nil, w.registrations[name]
	w.mu.Unlock()
	if closed {
		return registry.ErrClosed
	}
	if r == nil {
		return w.remove(ctx, name, func(e *entry) bool { return e == nil && p.Started.IsZero() || e != nil && !e.provider.Supersedes(p) })
	}
	wanted, instance := r.content()
	if wanted.Supersedes(p) {
		return nil
	}
	r.stop()
	if err := w.remove(ctx, name, func(e *entry) bool { return e != nil && e.instance == instance }); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.registrations[name] == r {
		delete(w.registrations, name)
	}
	return nil
}

// remove deletes the child if ours says of what stands there that it may go;
// nil is what cannot be read. It looks again behind itself: a refresh that was
// given up as late may still arrive. One that arrives later yet is left to its
// TTL.
//
// What it removed it announces, and so does the next attempt where this one
// fails: a delete that failed may have taken effect.
func (w *writer) remove(ctx context.Context, name string, ours func(*entry) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for range maxRemovals {
		pair, err := w.g.get(ctx, w.key(name))
		if errors.Is(err, store.ErrKeyNotFound) {
			break
		}
		if err != nil {
			return err
		}
		e, unreadable := decodeEntry(name, pair.Value)
		if unreadable != nil {
			e = nil
		}
		if !ours(e) {
			break
		}
		w.owe(name, e)
		if err = w.g.atomicDelete(ctx, w.key(name), pair); err != nil && !isAnswer(err) {
			return err
		}
	}
	left, owed := w.owed(name)
	if !owed {
		return nil
	}
	if err := w.touch(ctx, left...); err != nil {
		return err
	}
	w.paid(name)
	return nil
}

// owe notes that the departure of e, which stands under name, is to be announced.
func (w *writer) owe(name string, e *entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.departed[name]
	if e != nil {
		if l := leaver(name, e.instance); !slices.Contains(left, l) {
			left = append(left, l)
		}
	}
	w.departed[name] = left
}

// owed returns whom to name as having left, and whether there is anything to
// announce at all.
func (w *writer) owed(name string) (left []string, owed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left, owed = w.departed[name]
	return slices.Clone(left), owed
}

func (w *writer) paid(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.departed, name)
}

func (w *writer) touch(ctx context.Context, left ...string) error {
	err := touch(ctx, w.g, w.parent, left...)
	if err == nil {
		w.count(func(s *WriterStats) { s.Touches++ })
	}
	return err
}

// registered implements registry.Presence.
func (w *writer) registered(p registry.Provider) (ok bool, err error) {
	w.mu.Lock()
	r := w.registrations[childName(p)]
	w.mu.Unlock()
	if r == nil {
		return false, nil
	}
	if wanted, _ := r.content(); wanted.Supersedes(p) {
		return false, fmt.Errorf("%w in this process", registry.ErrSuperseded)
	}
	return r.present(time.Now())
}

func (w *writer) count(change func(*WriterStats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.stats)
}

func (w *writer) snapshot() WriterStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	now := time.Now()
	for _, r := range w.registrations {
		if r.ctx.Err() != nil {
			continue
		}
		s.Wanted++
		switch ok, err := r.present(now); {
		case ok:
			s.Registered++
		case errors.Is(err, registry.ErrSuperseded):
			s.Superseded++
		}
	}
	return s
}

// own returns the names of what is registered here, and the shortest interval
// and TTL among them.
func (w *writer) own() (names map[string]bool, interval, ttl time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	names = make(map[string]bool, len(w.registrations))
	for name, r := range w.registrations {
		if r.ctx.Err() != nil {
			continue // it has left, though the store may not know
		}
		names[name] = true
		i, t := r.times()
		if interval == 0 || i < interval {
			interval = i
		}
		if ttl == 0 || t < ttl {
			ttl = t
		}
	}
	return names, interval, ttl
}

// close ends the loops and waits for them. It unregisters nothing.
func (w *writer) close() {
	w.mu.Lock() // nothing is begun afterwards
	w.cancel()
	w.mu.Unlock()
	w.wg.Wait()
}
