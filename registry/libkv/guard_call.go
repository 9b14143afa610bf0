package libkv

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// call is one call of the store.
type call[T any] struct {
	op, key string
	limit   time.Duration // zero: the guard's
	do      func(store.Store) (T, error)
	late    func(T)   // given what came after the call was given up; may be nil
	at      **guarded // where to say which store it was; may be nil
}

type result[T any] struct {
	value T
	err   error
}

// guardedCall makes one call. Its results cross over a channel, so that a late
// one writes nothing that its caller still reads.
func guardedCall[T any](ctx context.Context, g *guard, c call[T]) (none T, err error) {
	began := time.Now()
	st, err := g.enter(ctx)
	if err != nil {
		return none, g.settle(ctx, nil, c.op, c.key, began, err)
	}
	if c.at != nil {
		*c.at = st
	}
	results := make(chan result[T], 1)
	var over atomic.Bool // set by who is first: the result, or the end of patience
	g.spawn(func() {
		r := protect(st.kv, c.do)
		g.leave(st)
		switch {
		case over.CompareAndSwap(false, true):
			results <- r
		case c.late != nil && r.err == nil:
			c.late(r.value)
		}
	})
	limit := c.limit
	if limit <= 0 {
		limit = g.limit
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case r := <-results:
		return r.value, g.settle(ctx, st, c.op, c.key, began, r.err)
	case <-t.C:
		err = ErrHung
	case <-ctx.Done():
		err = ctx.Err()
	}
	if over.CompareAndSwap(false, true) {
		return none, g.settle(ctx, st, c.op, c.key, began, err)
	}
	r := <-results // it came after all
	return r.value, g.settle(ctx, st, c.op, c.key, began, r.err)
}

func protect[T any](kv store.Store, do func(store.Store) (T, error)) (r result[T]) {
	defer func() {
		if p := recover(); p != nil {
			r.err = panicked(p)
		}
	}()
	r.value, r.err = do(kv)
	return r
}

// enter returns the store to use, and counts a call at it. It opens one where
// there is none, and waits for that no longer than the limit.
func (g *guard) enter(ctx context.Context) (*guarded, error) {
	for {
		g.mu.Lock()
		st, o, err := g.pickLocked()
		g.mu.Unlock()
		if st != nil || err != nil {
			return st, err
		}
		if err := o.wait(ctx, g.limit); err != nil {
			return nil, err
		}
	}
}

func (g *guard) pickLocked() (*guarded, *opening, error) {
	switch {
	case g.isEnded:
		return nil, nil, registry.ErrClosed
	case g.current == nil:
		if g.opening == nil {
			g.openLocked()
		}
		return nil, g.opening, nil
	}
	st := g.current
	if st.hung >= maxHung {
		g.replaceLocked()
		return nil, nil, ErrHung
	}
	st.calls++
	return st, nil, nil
}

func (o *opening) wait(ctx context.Context, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-o.done:
		return o.err
	case <-t.C:
		return ErrHung
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openLocked starts to open a store. It takes what time it takes; meanwhile no
// other is opened.
func (g *guard) openLocked() {
	o := &opening{done: make(chan struct{})}
	g.opening = o
	g.spawnLocked(func() {
		r := protect(nil, func(store.Store) (store.Store, error) { return g.open() })
		if r.err == nil && r.value == nil {
			r.err = errors.New("the function that opens the store returned none")
		}
		g.mu.Lock()
		g.opening = nil
		g.stats.Opened++
		if o.err = r.err; r.err == nil {
			g.current = &guarded{kv: r.value, own: true, retired: make(chan struct{})}
			if g.isEnded {
				g.retireLocked()
			}
		}
		g.mu.Unlock()
		close(o.done)
	})
}

// leave is for a call that has returned, late or not.
func (g *guard) leave(st *guarded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	st.calls--
	if st.hung > st.calls {
		st.hung = st.calls
	}
	g.closeLocked(st)
}

// retireLocked uses the current store no more.
func (g *guard) retireLocked() {
	st := g.current
	if st == nil {
		return
	}
	g.current = nil
	st.isRetired = true
	close(st.retired)
	g.closeLocked(st)
}

// closeLocked closes a store that is used no more and has returned from all
// calls.
func (g *guard) closeLocked(st *guarded) {
	if !st.isRetired || st.calls > 0 || !st.own {
		return
	}
	st.own = false // once
	g.spawnLocked(func() {
		r := protect(st.kv, func(kv store.Store) (none struct{}, err error) { kv.Close(); return none, nil })
		if r.err != nil {
			log.Warningf("libkv: closing the store: %v", r.err)
		}
	})
}

// replaceLocked gives the current store up, where another can be opened and the
// last replacement was long enough ago.
func (g *guard) replaceLocked() {
	now := time.Now()
	if g.open == nil || g.current == nil || now.Before(g.notBefore) {
		return
	}
	g.notBefore = now.Add(replacementPause + rand.N(2*replacementPause))
	g.stats.Replaced++
	log.Warningf("libkv: the store does not answer: another connection is opened")
	g.retireLocked()
}

// settle books the end of a call and returns its error as callers want it.
func (g *guard) settle(ctx context.Context, st *guarded, op, key string, began time.Time, err error) error {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Calls++
	switch {
	case err == nil || isAnswer(err):
		if st != nil {
			st.lateInARow = 0
		}
		if !g.downSince.IsZero() {
			log.Infof("libkv: the store answers again after %v", now.Sub(g.downSince).Round(time.Millisecond))
			g.downSince = time.Time{}
		}
		return err
	case errors.Is(err, registry.ErrClosed), ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	}
	g.stats.Faults++
	failed := &StoreError{Op: op, Key: key, After: now.Sub(began), Err: err}
	g.stats.LastError, g.stats.LastErrorAt = failed, now
	if g.downSince.IsZero() {
		g.downSince = now
		log.Warningf("%v; trying again until it answers", failed)
	}
	if errors.Is(err, ErrHung) && st != nil {
		st.hung++
		if st.hung > st.calls { // it has returned meanwhile
			st.hung = st.calls
		}
		if st.lateInARow++; st.lateInARow >= lateForReplacement && st == g.current {
			g.replaceLocked()
		}
	}
	return failed
}
