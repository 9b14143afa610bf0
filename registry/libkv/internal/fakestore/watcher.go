package fakestore

import (
	"time"

	"github.com/docker/libkv/store"
)

// watcher is one watch. Its goroutine hands over what is queued. Server.mu
// guards it.
type watcher struct {
	store     *Store
	key       string
	wake      chan struct{} // capacity 1
	queue     []store.KVPair
	told      time.Time // the last time that something was queued
	forgotten bool      // it lives on and tells nothing
	ended     bool      // its channel is to be closed
}

// Watch implements store.Store. The current value comes first.
func (c *Store) Watch(key string, stop <-chan struct{}) (<-chan *store.KVPair, error) {
	if err := c.enter("watch"); err != nil {
		return nil, err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	p, there := s.pairs[key]
	switch f := c.faultsLocked(); {
	case f.NoWatch:
		return nil, store.ErrCallNotSupported
	case !there && !f.WatchMissing:
		return nil, store.ErrKeyNotFound
	}
	w := &watcher{store: c, key: key, wake: make(chan struct{}, 1)}
	if there {
		w.tell(p)
	}
	if s.watchers == nil {
		s.watchers = make(map[*watcher]struct{})
	}
	s.watchers[w] = struct{}{}
	s.pumps++
	events := make(chan *store.KVPair)
	go s.pump(w, events, stop)
	return events, nil
}

// pump hands over what is queued until the watch ends, or is stopped. As with
// the real ones, it waits for its reader for ever.
func (s *Server) pump(w *watcher, events chan<- *store.KVPair, stop <-chan struct{}) {
	defer func() {
		s.mu.Lock()
		delete(s.watchers, w)
		s.pumps--
		s.mu.Unlock()
		close(events)
	}()
	for {
		select {
		case <-w.wake:
		case <-stop:
			return
		}
		s.mu.Lock()
		queue, ended := w.queue, w.ended
		w.queue = nil
		s.mu.Unlock()
		for i := range queue {
			events <- &queue[i]
		}
		if ended {
			return
		}
	}
}

// changedLocked tells the watcher of a key that was written, unless something
// goes wrong with that.
func (w *watcher) changedLocked(p store.KVPair) {
	f := w.store.faultsLocked()
	if w.key != p.Key || w.forgotten || f.Deaf || f.Blind > 0 && time.Since(w.told) < f.Blind {
		return
	}
	w.tell(p)
}

func (w *watcher) tell(p store.KVPair) {
	w.told = time.Now()
	w.queue = append(w.queue, p)
	signal(w.wake)
}

func (s *Server) endLocked(w *watcher) {
	w.ended = true
	delete(s.watchers, w)
	signal(w.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
