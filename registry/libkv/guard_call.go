package libkv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry"
)

// opList is the op of lists, of which one at a time is under way at a store: a
// late one is not helped by another.
const opList = "list"

// call is one call of the store.
type call[T any] struct {
	op, key string
	limit   time.Duration // zero: the guard's
	do      func(*guarded) (T, error)
	late    func(T) // given what came after its caller had left; may be nil
}

type result[T any] struct {
	value T
	err   error
}

// attempt is a call from its beginning until it has returned, which may be long
// after its caller left.
type attempt struct {
	op, key string
	store   *guarded
	began   time.Time
	limit   time.Duration
	hung    chan struct{} // closed when the limit is over

	// guard.mu guards these.
	late error // set when the limit is over
	left bool  // nobody waits for the result
	back bool  // it has returned
}

// guardedCall makes one call. Its results cross over a channel, so that a late
// one writes nothing that its caller still reads.
func guardedCall[T any](ctx context.Context, g *guard, c call[T]) (none T, err error) {
	a := &attempt{op: c.op, key: c.key, limit: c.limit, hung: make(chan struct{})}
	if err := g.enter(ctx, a); err != nil {
		return none, err
	}
	results := make(chan result[T], 1)
	overdue := time.AfterFunc(a.limit, func() { g.overdue(a) })
	g.mu.Lock()
	g.spawnLocked(func() {
		defer g.release(a.store)
		value, err := protect(a.store, c.do)
		overdue.Stop()
		err, wanted := g.returned(a, err)
		if wanted {
			results <- result[T]{value, err}
		} else if c.late != nil && err == nil {
			c.late(value)
		}
	})
	g.mu.Unlock()
	select {
	case r := <-results:
		return r.value, r.err
	case <-a.hung:
	case <-ctx.Done():
	}
	if late, left := g.leave(a); left {
		if late != nil {
			return none, late
		}
		return none, ctx.Err()
	}
	r := <-results // it came after all
	return r.value, r.err
}

// protect makes an error of a panic in the store.
func protect[T any](st *guarded, do func(*guarded) (T, error)) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the store panicked: %v", p)
		}
	}()
	return do(st)
}

// enter begins a: it finds the store to use, opens one where there is none, and
// waits for that no longer than the limit.
func (g *guard) enter(ctx context.Context, a *attempt) error {
	a.began = time.Now()
	if a.limit <= 0 {
		a.limit = g.limit
	}
	for first := true; ctx.Err() == nil; first = false {
		g.mu.Lock()
		if first {
			g.stats.Calls++
		}
		o, err := g.pickLocked(a)
		g.unlock()
		switch {
		case err != nil:
			return err
		case o != nil:
			err = o.wait(ctx, g.limit)
		default:
			if err = a.store.acquire(ctx, a.op, a.limit); err == nil {
				return nil
			}
			g.release(a.store)
		}
		if err != nil && !errors.Is(err, errReplaced) && ctx.Err() == nil {
			return g.refused(a, err)
		}
	}
	return ctx.Err()
}

// pickLocked gives a a store to use, or returns the opening to wait for, or why
// there is none.
func (g *guard) pickLocked(a *attempt) (*opening, error) {
	st := g.current
	if st != nil && st.hung >= maxHung && g.replaceLocked() {
		st = nil
	}
	switch {
	case g.closed:
		return nil, registry.ErrClosed
	case st == nil:
		o, err := g.openingLocked()
		if err != nil {
			err = g.faultLocked(a, err)
		}
		return o, err
	case st.hung >= maxHung:
		return nil, g.faultLocked(a, ErrHung)
	}
	st.uses++
	a.store = st
	return nil, nil
}

// refused books a call that waited for its turn in vain.
func (g *guard) refused(a *attempt, err error) error {
	g.mu.Lock()
	defer g.unlock()
	if g.closed {
		return registry.ErrClosed
	}
	return g.faultLocked(a, err)
}

// overdue is for a call that has not returned within its limit.
func (g *guard) overdue(a *attempt) {
	g.mu.Lock()
	defer g.unlock()
	if a.back {
		return
	}
	st := a.store
	st.hung++
	st.lateInARow++
	g.stats.Hung++
	a.late = g.faultLocked(a, ErrHung)
	if st == g.current && st.lateInARow >= lateForReplacement {
		g.replaceLocked()
	}
	close(a.hung)
}

// leave says that nobody waits for a any more, because it is late, or its
// caller's context has ended. It is too late for that when a has returned.
func (g *guard) leave(a *attempt) (late error, left bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a.left = !a.back
	return a.late, a.left
}

// returned books what a call in time brought, and says whether somebody still
// waits for it.
func (g *guard) returned(a *attempt, err error) (_ error, wanted bool) {
	g.mu.Lock()
	defer g.unlock()
	a.back = true
	a.store.leave(a.op)
	switch {
	case a.late != nil:
		a.store.hung--
		g.stats.Hung--
		if err != nil && !isAnswer(err) {
			err = a.late // it was booked then
		}
	case err == nil || isAnswer(err):
		a.store.lateInARow = 0
		g.answeredLocked()
	default:
		err = g.faultLocked(a, err)
		g.replaceUselessLocked(a.store)
	}
	return err, !a.left
}

// isAnswer tells what a store says of its data from a call that failed.
func isAnswer(err error) bool {
	for _, answer := range []error{
		store.ErrKeyNotFound, store.ErrKeyModified, store.ErrKeyExists,
		store.ErrCallNotSupported, store.ErrPreviousNotSpecified,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}
