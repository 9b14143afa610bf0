package libkv

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/log"
)

const (
	// sweepers is how many providers look after the entries of crashed ones:
	// those with the lowest keys, two in case that one hangs.
	sweepers = 2
	// idleSweeps is how many TTLs pass before another looks whether it is now
	// among them.
	idleSweeps = 10
	// maxSweepBackoff is how often the pause after a list that failed is doubled:
	// others can sweep, and the store may be busy with many who list.
	maxSweepBackoff = 4
)

// sweeper removes the entries of providers that do not live any more. It belongs
// to one goroutine.
type sweeper struct {
	w     *writer
	judge judge

	known  map[string]bool // who was listed when somebody was last removed, or now
	window time.Time       // when somebody was, or when it was last seen that nobody was
	fewer  bool            // somebody was
	failed int             // lists in a row
}

// sweepLoop sweeps for as long as the writer lives. The first round comes within
// a TTL, and not before an interval is nearly over: of a thousand providers that
// start together, each would otherwise list a thousand at one moment.
func (w *writer) sweepLoop() {
	s := sweeper{w: w}
	_, interval, ttl := w.own()
	pause := interval + rand.N(max(1, ttl-interval))
	for {
		t := time.NewTimer(jittered(pause))
		select {
		case <-t.C:
		case <-w.ctx.Done():
			t.Stop()
			return
		}
		pause = s.sweep(w.ctx)
	}
}

// sweep makes one round and returns how long to wait for the next.
func (s *sweeper) sweep(ctx context.Context) (pause time.Duration) {
	own, interval, ttl := s.w.own()
	if len(own) == 0 {
		return defaultTTL // nothing is registered here: whoever comes next will look
	}
	children, err := s.w.g.list(ctx, s.w.parent)
	if err != nil { // the guard has logged it
		s.failed++
		return min(interval<<min(s.failed, maxSweepBackoff), idleSweeps*ttl)
	}
	s.failed = 0
	s.w.count(func(st *WriterStats) { st.Sweeps++ })
	now := time.Now()
	values := entriesOf(children)
	s.judge.observe(now, s.w.g.faulty(), values)
	moving, dead := s.sort(now, values)
	if !slices.ContainsFunc(moving[:min(sweepers, len(moving))], func(name string) bool { return own[name] }) {
		return idleSweeps * ttl
	}
	dead = slices.DeleteFunc(dead, func(name string) bool { return own[name] })
	s.bury(ctx, dead[:min(len(dead), s.allowed(now, ttl, values))], values)
	for _, o := range values { // lists that are a TTL apart say nothing of it
		interval = min(interval, o.ttl/2)
	}
	return interval
}

// entriesOf returns what the judge is told of children: the entries of providers
// alone. Whatever else stands there may be another program's, and is not ours to
// remove however long it stands still; nor is it one of those who sweep.
func entriesOf(children map[string]*store.KVPair) map[string]observation {
	entries := make(map[string]observation, len(children))
	for name, pair := range children {
		if e, err := decodeEntry(name, pair.Value); err == nil {
			entries[name] = observation{value: string(pair.Value), ttl: e.ttl}
		}
	}
	return entries
}

// sort returns the names of who moves and of who is dead, lowest first. Who stands
// still is not yet dead where lists are far apart, but counts for no sweeper: the two
// lowest may have crashed together.
func (s *sweeper) sort(now time.Time, values map[string]observation) (moving, dead []string) {
	for name := range values {
		if s.judge.moves(now, name) {
			moving = append(moving, name)
		} else if !s.judge.alive(now, name) {
			dead = append(dead, name)
		}
	}
	slices.Sort(moving)
	slices.Sort(dead)
	return moving, dead
}

// allowed returns how many entries may be removed now: half of the list within a
// TTL, what others removed counted. If more seem to have died, it is more likely
// that something else is wrong.
func (s *sweeper) allowed(now time.Time, ttl time.Duration, listed map[string]observation) int {
	gone := 0
	for name := range s.known {
		if _, there := listed[name]; !there {
			gone++
		}
	}
	switch {
	case gone > 0 && !s.fewer:
		s.window, s.fewer = now, true
	case gone == 0 || now.Sub(s.window) >= ttl:
		s.window, s.fewer, gone = now, false, 0
		s.known = make(map[string]bool, len(listed))
	}
	for name := range listed {
		s.known[name] = true
	}
	return max(0, len(s.known)/2-gone)
}

// bury removes the dead and tells consumers.
func (s *sweeper) bury(ctx context.Context, dead []string, listed map[string]observation) {
	removed := 0
	for _, name := range dead {
		if s.w.buryOne(ctx, name, listed[name].value) {
			removed++
		}
	}
	if removed == 0 {
		return
	}
	if err := s.w.touch(ctx); err != nil {
		log.V(1).Infof("libkv: the removal of %d dead entries is not announced, polls will find it: %v", removed, err)
	}
}

// buryOne removes the very value that was judged.
func (w *writer) buryOne(ctx context.Context, name, value string) bool {
	pair, err := w.g.get(ctx, w.key(name))
	if err != nil || string(pair.Value) != value {
		return false
	}
	if err := w.g.atomicDelete(ctx, w.key(name), pair); err != nil {
		return false // it lives after all, or another sweeper was first; a fault is logged by the guard
	}
	w.count(func(s *WriterStats) { s.Swept++ })
	log.Infof("libkv: %s under %s does not refresh its entry any more and was removed", name, w.parent)
	return true
}
