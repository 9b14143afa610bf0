package libkv

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/registry"
)

const (
	// debounceLeast and debounceMost bound how long a hint is left to others that
	// follow it before the list is read.
	debounceLeast = 50 * time.Millisecond
	debounceMost  = 150 * time.Millisecond
	// spreadPerProvider and spreadMost keep many consumers from reading a long
	// list at one moment.
	spreadPerProvider = 2 * time.Millisecond
	spreadMost        = 2 * time.Second
	// lookAgain is after what time a list is looked at once more: ZooKeeper's
	// driver loses the last event of a burst.
	lookAgain = time.Second
	// listPause is the least time between two lists that nobody hinted at, and
	// before an early look.
	listPause = time.Second
)

// reader follows the list of one parent, and publishes it. Its loop is one
// goroutine, the watch another; start begins them, close waits for them.
//
// The loop trusts nothing: hints and polls only say when to read, what is read
// is always the whole list, and an error changes nothing but the state.
type reader struct {
	g      *guard
	parent string
	poll   time.Duration
	feed   *registry.Feed
	file   *snapshotFile // nil: none is kept

	hints chan struct{} // capacity 1: the parent may have changed
	early chan struct{} // capacity 1: somebody doubts the list
	watch watchKeeper

	ctx    context.Context
	cancel context.CancelFunc
	begin  sync.Once
	ended  chan struct{} // closed when the loop has ended; nil until it began

	// The loop's own.
	list    providerList
	failing error // why the list is not fresh; the first of a row
	next    schedule
	touched string    // the parent's value when the list was last read
	heard   uint64    // how many hints had come then
	listed  time.Time // the last list that came
	asked   time.Time // when the store was last asked, whether it answered or not
	pause   backoff.Backoff

	mu sync.Mutex
	// Guarded by mu.
	stats ReaderStats
	cause error // of the last failure
}

// schedule is when what is due; zero is never.
type schedule struct {
	poll, list, again, early time.Time
}

func newReader(g *guard, parent string, o Option, feed *registry.Feed) *reader {
	r := &reader{
		g: g, parent: parent, poll: o.UpdateInterval, feed: feed,
		hints: make(chan struct{}, 1), early: make(chan struct{}, 1),
		pause: backoff.Backoff{Policy: backoff.Policy{Initial: 200 * time.Millisecond}},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if o.SnapshotFile != "" {
		r.file = &snapshotFile{path: o.SnapshotFile, appKey: o.AppKey, servicePath: o.ServicePath}
	}
	r.list.init()
	return r
}

// start begins to follow the store, once.
func (r *reader) start() {
	r.begin.Do(func() {
		if r.ctx.Err() != nil {
			return
		}
		r.ended = make(chan struct{})
		go r.run()
	})
}

// close ends the loop and waits for it.
func (r *reader) close() {
	r.cancel()
	r.begin.Do(func() {}) // it does not begin any more
	if r.ended != nil {
		<-r.ended
	}
}

// refresh asks for an early look.
func (r *reader) refresh() { signal(r.early) }

// hint says that the parent may have changed.
func (r *reader) hint() {
	r.count(func(s *ReaderStats) { s.Hints++ })
	signal(r.hints)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is signalled already
	}
}

func (r *reader) run() {
	defer close(r.ended)
	var watching sync.WaitGroup
	defer watching.Wait()
	r.watch = watchKeeper{g: r.g, parent: r.parent, hint: r.hint, count: r.count}
	watching.Go(func() { r.watch.run(r.ctx) })

	r.recall()
	r.readList()
	for r.ctx.Err() == nil {
		r.rest()
		r.act(time.Now())
	}
	r.save()
}

// rest waits until something is due.
func (r *reader) rest() {
	due := earliest(r.next.poll, r.next.list, r.next.again, r.next.early, r.saveDue())
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.hints:
		spread := min(time.Duration(r.list.size())*spreadPerProvider, spreadMost)
		r.listAt(time.Now().Add(debounceLeast + rand.N(debounceMost-debounceLeast+spread)))
		r.next.again = time.Time{}
	case <-r.early:
		if r.failing == nil { // while the store fails, its pauses hold
			r.next.early = later(time.Now(), r.asked.Add(listPause))
		}
	case <-r.ctx.Done():
	}
}

// act does what is due.
func (r *reader) act(now time.Time) {
	switch {
	case r.ctx.Err() != nil:
	case isDue(now, r.next.list):
		r.readList()
	case isDue(now, r.next.again):
		r.next.again = time.Time{}
		r.readParent(true)
	case isDue(now, r.next.early):
		r.count(func(s *ReaderStats) { s.Early++ })
		r.readParent(false)
	case isDue(now, r.next.poll):
		r.count(func(s *ReaderStats) { s.Polls++ })
		r.readParent(false)
	case isDue(now, r.saveDue()):
		r.save()
	}
}

// saveDue returns when the snapshot file is to be written; zero while the list is
// none to keep, which may have become so since the file was owed one.
func (r *reader) saveDue() time.Time {
	if !r.list.worthKeeping() {
		return time.Time{}
	}
	return r.file.due()
}

// save writes what the file is owed, unless the list is none to keep: what it holds
// is the better one then.
func (r *reader) save() {
	if r.list.worthKeeping() {
		r.file.save(r.list.toSave())
	}
}

func isDue(now, at time.Time) bool { return !at.IsZero() && !now.Before(at) }

// earliest returns the first of times that is not zero.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// listAt has the list read at t, or before where that was planned.
func (r *reader) listAt(t time.Time) { r.next.list = earliest(r.next.list, t) }

// pollLater plans the next poll, more or less a fifth of the interval from now.
func (r *reader) pollLater() {
	r.next.poll = time.Now().Add(r.poll - r.poll/5 + rand.N(2*r.poll/5+1))
}

// readParent reads the parent alone, and the list when it moved or is old. again
// says that it is the second look after a change: if the watch has not told of
// that by now, it has gone silent.
func (r *reader) readParent(again bool) {
	heard := r.watch.hintsSoFar()
	value, err := r.parentValue()
	if err != nil {
		r.failed(err)
		return
	}
	now := time.Now()
	if again && r.watch.convict() {
		r.count(func(s *ReaderStats) { s.Silent++ })
	}
	if !again {
		r.pollLater()
	}
	if value != r.touched || r.list.incomplete() || now.Sub(r.listed) >= r.list.shortestTTL()/2 {
		r.readChildren(value, heard)
	}
}

// parentValue reads the parent; empty where it is missing. Whoever wanted an early
// look has it with that: every change of a child moves the parent.
func (r *reader) parentValue() (string, error) {
	r.asked, r.next.early = time.Now(), time.Time{}
	pair, err := r.g.get(r.ctx, r.parent)
	if errors.Is(err, store.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(pair.Value), nil
}

// readList reads the parent, then all children. The order matters: what changes
// after the parent was read moves the parent again.
func (r *reader) readList() {
	heard := r.watch.hintsSoFar()
	value, err := r.parentValue()
	if err != nil {
		r.failed(err)
		return
	}
	r.readChildren(value, heard)
}

// readChildren reads the children and publishes what they say. value is the
// parent's, and heard how many hints had come when it was read.
func (r *reader) readChildren(value string, heard uint64) {
	r.next.list = time.Time{}
	children, err := r.g.list(r.ctx, r.parent)
	if err != nil {
		r.failed(err)
		return
	}
	now := time.Now()
	r.count(func(s *ReaderStats) { s.Lists++ })
	r.pause.Reset()
	if value != r.touched {
		if !r.listed.IsZero() {
			r.watch.suspect(r.heard)
		}
		r.next.again = now.Add(lookAgain)
	}
	if r.failing != nil {
		r.failing = nil
		r.list.resumes()
	}
	r.touched, r.heard, r.listed = value, heard, now
	r.list.take(now, r.g.faulty(), children, parseLastUpdate([]byte(value)))
	news := r.publish()
	r.file.changed(now, news)
	r.pollLater()
	if at := r.list.nextLook(now); !at.IsZero() {
		r.listAt(later(at, now.Add(listPause)))
	}
}

// failed notes that the store did not answer. The list stays.
func (r *reader) failed(err error) {
	if r.ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	r.cause = err
	r.mu.Unlock()
	if r.failing == nil {
		r.failing = err
		r.publish()
	}
	r.next = schedule{list: time.Now().Add(r.pause.Next())}
}

// publish tells consumers what is known, and reports whether that is news.
func (r *reader) publish() bool {
	providers, state, left := r.list.published()
	if r.failing != nil {
		if r.listed.IsZero() && !r.list.recalled() {
			return false // there is no list: Providers goes on waiting
		}
		state = registry.State{Status: registry.Stale, Since: r.list.knownAt(), Cause: r.failing}
	}
	news := r.feed.Publish(providers, state, left...)
	r.count(func(s *ReaderStats) {
		s.State, s.Providers, s.ListedAt = state, len(providers), r.listed
		s.Unreadable, s.Kept = r.list.unreadable, r.list.kept+r.list.suspects
	})
	return news
}

// recall takes the list of the snapshot file, to be published should the store
// not answer.
func (r *reader) recall() {
	if saved, at := r.file.load(); saved != nil {
		r.list.recall(saved, at)
	}
}

// trouble returns what kept the first list from coming; nil when nothing did.
func (r *reader) trouble() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

func (r *reader) count(change func(*ReaderStats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.stats)
}

func (r *reader) snapshot() ReaderStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}
