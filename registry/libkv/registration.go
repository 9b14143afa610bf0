package libkv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/docker/libkv/store"
	"github.com/google/uuid"

	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// registration keeps one provider in the store: its goroutine looks for the
// entry every interval, renews its stamp, and writes it anew when it is gone. One
// of an instance that came later it leaves alone, for as long as that lives. It
// goes on until stop, whatever the store does.
type registration struct {
	w      *writer
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned
	wake   chan struct{} // capacity 1: there is something new to write

	rivals rivals // the goroutine's own

	mu sync.Mutex
	// Guarded by mu.
	want      entry         // what is to be written, without a stamp
	interval  time.Duration // between two refreshes
	gen       uint64        // of want
	tried     uint64        // the newest generation that an attempt was made for
	written   uint64        // the newest that is in the store and announced
	err       error         // of the last attempt
	progress  chan struct{} // closed at the end of the next attempt; nil while nobody waits
	confirmed time.Time     // when the entry was last found or written
	announced bool          // the log says that it is registered
}

func newRegistration(w *writer, name string) *registration {
	r := &registration{w: w, name: name, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(w.ctx)
	return r
}

// wish makes p what is to be registered. Another start is another instance.
func (r *registration) wish(p registry.Provider, o registry.RegisterOption) (gen uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.want.instance == "" || p.Supersedes(r.want.provider) {
		r.want.instance, r.want.claim = uuid.NewString(), 0
	}
	r.want.provider, r.want.ttl = p, clampTTL(o.TTL)
	r.interval = r.want.ttl / 3
	if o.Interval > 0 {
		r.interval = min(o.Interval, r.want.ttl/2)
	}
	r.gen++
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyway
	}
	return r.gen
}

func (r *registration) content() (p registry.Provider, instance string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.want.provider, r.want.instance
}

func (r *registration) times() (interval, ttl time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.interval, r.want.ttl
}

// await waits for the first attempt to write gen, and returns its error.
func (r *registration) await(ctx context.Context, gen uint64) error {
	for {
		progress, err := r.look(gen)
		if progress == nil {
			return err
		}
		select {
		case <-progress:
		case <-r.ctx.Done():
			return errors.New("unregistered, or the registry was closed, before it was written")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look returns what is known of gen, or what to wait for.
func (r *registration) look(gen uint64) (progress <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.written >= gen:
		return nil, nil
	case r.tried >= gen:
		return nil, r.err
	}
	if r.progress == nil {
		r.progress = make(chan struct{})
	}
	return r.progress, nil
}

// present tells whether the entry was there when it was last looked for. An
// attempt that the store failed says nothing, until a TTL is over.
func (r *registration) present(now time.Time) (ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.confirmed.IsZero() || now.Sub(r.confirmed) >= r.want.ttl {
		return false, r.err
	}
	return true, nil
}

// stop ends the loop and waits for it. A call of the store that hangs is not
// waited for: the guard has it.
func (r *registration) stop() {
	r.cancel()
	<-r.ended
}

func (r *registration) run() {
	defer close(r.ended)
	defer r.cancel()
	var failures backoff.Backoff
	for {
		select {
		case <-r.wake: // what woke us, or would, is what is written now
		default:
		}
		err := r.attempt()
		if r.ctx.Err() != nil {
			return
		}
		interval, _ := r.times()
		pause := jittered(interval)
		switch {
		case err == nil:
			failures.Reset()
		case errors.Is(err, registry.ErrSuperseded):
			failures.Reset()
			pause = r.rivals.probe(interval)
		default:
			pause = min(failures.Next(), pause)
		}
		if !r.rest(pause) {
			return
		}
	}
}

// jittered is d, more or less a quarter.
func jittered(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1)
}

// rest waits for the next beat or for something new, false when there is none.
func (r *registration) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.wake:
	case <-r.ctx.Done():
		return false
	}
	return true
}

// attempt makes one beat and books it.
func (r *registration) attempt() error {
	r.mu.Lock()
	e, gen, news := r.want, r.gen, r.gen > r.written
	r.mu.Unlock()
	err := r.beat(&e, news)
	if r.ctx.Err() != nil {
		return err
	}
	if note := r.book(gen, err); note != nil {
		note()
	}
	return err
}

// book notes what became of an attempt to write gen, and wakes who waits for it. It
// returns what is to be logged, nil for nothing: a log handler is foreign code, which
// may ask whether r is registered, so no lock is held for it.
func (r *registration) book(gen uint64, err error) (note func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried, r.err = max(r.tried, gen), err
	now := time.Now()
	if err == nil {
		r.written, r.confirmed = max(r.written, gen), now
	}
	if r.progress != nil {
		close(r.progress)
		r.progress = nil
	}
	return r.noteLocked(now)
}

// noteLocked returns what logs whether the provider is registered, nil where that
// has not changed.
func (r *registration) noteLocked(now time.Time) (note func()) {
	err, unseen := r.err, now.Sub(r.confirmed)
	switch {
	case err == nil && !r.announced:
		note = func() { log.Infof("libkv: %s is registered under %s", r.name, r.w.parent) }
	case errors.Is(err, registry.ErrSuperseded) && r.announced:
		note = func() { r.tellSuperseded(err) }
	case err != nil && r.announced && unseen >= r.want.ttl:
		note = func() {
			log.Warningf("libkv: %s counts as not registered, since it was not refreshed for %v; trying again until it is: %v", r.name, unseen.Round(time.Second), err)
		}
	}
	if note != nil {
		r.announced = err == nil
	}
	return note
}

// beat looks for the entry and renews it, or writes it anew and announces that,
// unless it is another's by right.
func (r *registration) beat(e *entry, news bool) error {
	found, err := r.inspect(e.instance)
	if err != nil {
		return err
	}
	yields := r.yields(e, found.rival)
	if found.lost != nil {
		r.miss(found.lost, yields)
	}
	if yields {
		return supersededBy(found.rival)
	}
	r.claim(e, found.rival)
	value, err := r.write(e, found.missing)
	if err != nil {
		return err
	}
	if found.lost == nil && !news {
		r.w.count(func(s *WriterStats) { s.Refreshes++ })
		return nil
	}
	if err := r.readBack(value); err != nil {
		return err
	}
	if err := r.w.touch(r.ctx); err != nil {
		return err
	}
	r.w.count(func(s *WriterStats) { s.Registrations++ })
	return nil
}

// finding is what stands under the key. The zero value is our entry.
type finding struct {
	lost    error  // why it is not ours
	missing bool   // nothing does
	rival   *entry // of another instance
}

// inspect tells whether our entry is there.
func (r *registration) inspect(instance string) (finding, error) {
	pair, err := r.w.g.get(r.ctx, r.w.key(r.name))
	switch {
	case errors.Is(err, store.ErrKeyNotFound):
		return finding{lost: errors.New("it was gone"), missing: true}, nil
	case err != nil:
		return finding{}, err
	}
	found, unreadable := decodeEntry(r.name, pair.Value)
	switch {
	case unreadable != nil:
		return finding{lost: unreadable}, nil
	case found.instance != instance:
		return finding{lost: fmt.Errorf("it was of instance %s", found.instance), rival: found}, nil
	}
	return finding{}, nil
}

// miss notes that our entry is not there, and owes its announcement before it is
// written: a write that fails may have taken effect.
func (r *registration) miss(lost error, yields bool) {
	if r.lose() {
		r.w.count(func(s *WriterStats) { s.Lost++ })
		if !yields {
			log.Warningf("libkv: %s is not in the registry any more (%v) and is registered again", r.name, lost)
		}
	}
	r.owe()
}

// write gives the entry a new stamp.
func (r *registration) write(e *entry, missing bool) (value []byte, err error) {
	e.stamp = newStamp()
	if value, err = e.encode(); err != nil {
		return nil, err
	}
	key := r.w.key(r.name)
	if missing {
		if err = r.w.g.create(r.ctx, key, value); err == nil || !errors.Is(err, store.ErrKeyExists) {
			return value, err
		}
	}
	return value, r.w.g.put(r.ctx, key, value)
}

// readBack makes sure that others can see what was written.
func (r *registration) readBack(value []byte) error {
	pair, err := r.w.g.get(r.ctx, r.w.key(r.name))
	if err != nil {
		return fmt.Errorf("the entry was written but cannot be read back: %w", err)
	}
	if string(pair.Value) != string(value) {
		return errors.New("the entry was written, and was another's when it was read back")
	}
	return nil
}

// lose notes that the entry is not there, and reports whether it was before.
func (r *registration) lose() (was bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was = !r.confirmed.IsZero()
	r.confirmed = time.Time{}
	return was
}

// owe has what is written announced by a later beat, should this one not come to
// it.
func (r *registration) owe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.written == r.gen {
		r.written--
	}
}
