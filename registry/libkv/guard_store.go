package libkv

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/log"
)

const (
	// lateForReplacement is after how many late calls in a row another store is
	// opened.
	lateForReplacement = 3
	// replacementPause is the least time between two replacements, and up to
	// three times that by chance. It is so much longer for each store that was
	// given up and still has not returned from all calls, up to
	// maxReplacementPause: a client that never returns must not cost ever more
	// goroutines.
	replacementPause    = 10 * time.Second
	maxReplacementPause = 5 * time.Minute
	// uselessAfter is after how long without any answer a store is replaced that
	// fails at once. Some clients look the servers' addresses up once and never
	// again; the servers may have come back elsewhere. It doubles with each
	// replacement that did not help, up to maxUselessAfter.
	uselessAfter    = time.Minute
	maxUselessAfter = 10 * time.Minute
)

// guarded is a store and what it has not returned from.
type guarded struct {
	kv      store.Store
	slots   chan struct{} // one is taken for each call until it returns
	lists   chan struct{} // and the one here for a list
	retired chan struct{} // closed when it is used no more

	// guard.mu guards these.
	own        bool // opened by the guard, so closed by it
	since      time.Time
	uses       int // calls that wait or have not returned, and watches
	hung       int // calls that are late
	lateInARow int
	isRetired  bool
}

func newGuarded(kv store.Store, own bool) *guarded {
	return &guarded{kv: kv, own: own, slots: make(chan struct{}, maxCalls), lists: make(chan struct{}, 1), retired: make(chan struct{}), since: time.Now()}
}

// acquire waits for one of the calls at st that may be under way at once, and for
// the one list.
func (st *guarded) acquire(ctx context.Context, op string, limit time.Duration) error {
	if op != opList {
		return st.take(ctx, st.slots, limit)
	}
	if err := st.take(ctx, st.lists, limit); err != nil {
		return err
	}
	err := st.take(ctx, st.slots, limit)
	if err != nil {
		<-st.lists
	}
	return err
}

// leave ends what acquire began.
func (st *guarded) leave(op string) {
	<-st.slots
	if op == opList {
		<-st.lists
	}
}

// take waits for a place in slots.
func (st *guarded) take(ctx context.Context, slots chan<- struct{}, limit time.Duration) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case slots <- struct{}{}:
		return nil
	case <-t.C:
		return ErrHung
	case <-st.retired:
		return errReplaced
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replacer paces replacements. guard.mu guards it.
type replacer struct {
	notBefore time.Time
	lingering int // stores that were given up and are still at work
	inVain    int // replacements of useless ones since the store answered
}

// release ends a use of st.
func (g *guard) release(st *guarded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.releaseLocked(st)
}

// releaseLocked ends a use of st. The last one closes a store that was given up.
func (g *guard) releaseLocked(st *guarded) {
	if st.uses--; st.isRetired && st.uses == 0 {
		g.disposeLocked(st)
	}
}

// retireLocked uses the current store no more.
func (g *guard) retireLocked() {
	if st := g.current; st != nil {
		g.current = nil
		g.giveUpLocked(st)
	}
}

// giveUpLocked uses st no more, now if nothing is under way at it and with the
// last use else.
func (g *guard) giveUpLocked(st *guarded) {
	st.isRetired = true
	close(st.retired)
	g.replacer.lingering++
	if st.uses == 0 {
		g.disposeLocked(st)
	}
}

// disposeLocked closes a store that was given up and has returned from all
// calls, if it is ours. Close may hang or panic too.
func (g *guard) disposeLocked(st *guarded) {
	if !st.own {
		g.replacer.lingering--
		return
	}
	g.spawnLocked(func() {
		_, err := protect(st, func(st *guarded) (none struct{}, err error) {
			st.kv.Close()
			return none, nil
		})
		if err != nil {
			log.Warningf("libkv: closing a store: %v", err)
		}
		g.mu.Lock()
		g.replacer.lingering--
		g.mu.Unlock()
	})
}

// replaceLocked gives the current store up, if another can be opened and the
// last replacement was long enough ago.
func (g *guard) replaceLocked() bool {
	now := time.Now()
	if g.open == nil || g.closed || now.Before(g.replacer.notBefore) {
		return false
	}
	pause := replacementPause + rand.N(2*replacementPause)
	pause *= time.Duration(1 + g.replacer.lingering)
	g.replacer.notBefore = now.Add(min(pause, maxReplacementPause))
	g.stats.Replaced++
	g.notes = append(g.notes, func() {
		log.Warningf("libkv: the store does not answer: another connection is opened")
	})
	g.retireLocked()
	return true
}

// replaceUselessLocked gives st up when nothing has answered for long, though
// its calls return.
func (g *guard) replaceUselessLocked(st *guarded) {
	patience := min(uselessAfter<<min(g.replacer.inVain, 8), maxUselessAfter)
	if st == g.current && g.outage.lasts() >= patience && time.Since(st.since) >= patience && g.replaceLocked() {
		g.replacer.inVain++
	}
}
