package libkv

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/backoff"
)

// opener opens stores, one at a time as long as open returns. guard.mu guards
// it.
type opener struct {
	newest  *opening // in flight, or nil
	running int
	failed  int       // in a row
	next    time.Time // not before; while one hangs, when to try another
	err     error     // why the last one failed
}

// opening is a call of open. It takes the time it takes; a store that comes
// late is used if it is needed by then.
type opening struct {
	began time.Time
	done  chan struct{}
	err   error // set before done is closed
}

var (
	errNoStore = errors.New("there is no store, and no function that opens one")
	errNoneYet = &StoreError{Op: "open", Err: ErrHung}
)

// openingLocked returns the opening to wait for. It starts one, unless the last
// one failed, or all hang, and it is too early for another: then it says why.
func (g *guard) openingLocked() (*opening, error) {
	now, o := time.Now(), &g.opener
	wait := now.Before(o.next) || o.running >= maxHung
	switch {
	case g.open == nil:
		return nil, errNoStore
	case wait && o.newest != nil:
		return o.newest, nil
	case wait && o.err != nil:
		return nil, o.err
	case wait:
		return nil, errNoneYet
	}
	started := &opening{began: now, done: make(chan struct{})}
	o.newest = started
	o.running++
	o.next = now.Add(replacementPause + rand.N(2*replacementPause))
	g.stats.Opened++
	g.spawnLocked(func() {
		kv, err := protect(nil, func(*guarded) (store.Store, error) { return g.open() })
		if err == nil && kv == nil {
			err = errors.New("the function that opens the store returned none")
		}
		g.opened(started, kv, err)
	})
	return started, nil
}

// opened is for an opening that has returned, late or not.
func (g *guard) opened(o *opening, kv store.Store, err error) {
	g.mu.Lock()
	defer g.unlock()
	g.opener.running--
	if err != nil {
		o.err = &StoreError{Op: "open", After: time.Since(o.began), Err: err}
	} else if st := newGuarded(kv, true); g.closed || g.current != nil { // an earlier one came late
		g.giveUpLocked(st)
	} else {
		g.current = st
	}
	g.opener.over(o)
	close(o.done)
}

// over says when the next opening may begin: at once where o brought a store.
func (p *opener) over(o *opening) {
	switch {
	case o.err == nil:
		p.failed, p.next, p.err = 0, time.Time{}, nil
	case p.newest == o:
		p.next = time.Now().Add(backoff.Policy{}.Delay(p.failed))
		p.failed++
		p.err = o.err
	}
	if p.newest == o {
		p.newest = nil
	}
}

// wait waits for the opening, no longer than limit after it began.
func (o *opening) wait(ctx context.Context, limit time.Duration) error {
	t := time.NewTimer(time.Until(o.began.Add(limit)))
	defer t.Stop()
	select {
	case <-o.done:
		return o.err
	case <-t.C:
		return &StoreError{Op: "open", After: time.Since(o.began), Err: ErrHung}
	case <-ctx.Done():
		return ctx.Err()
	}
}
