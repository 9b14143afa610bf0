// Package fakestore is a docker/libkv store.Store in memory that can be made
// to fail as the real ones do.
package fakestore

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/docker/libkv/store"
)

// Server is the data that stores share, as processes share a server. The zero
// value is ready.
type Server struct {
	mu sync.Mutex
	// Guarded by mu.
	index    uint64
	pairs    map[string]store.KVPair
	watchers map[*watcher]struct{}
	calls    map[string]int // by operation
}

type watcher struct {
	key    string
	events chan *store.KVPair
}

// Store is one connection to a Server.
type Store struct{ server *Server }

var _ store.Store = (*Store)(nil)

// Open returns a connection.
func (s *Server) Open() *Store { return &Store{server: s} }

// Calls returns how often op (put, get, list, delete, watch) was called.
func (s *Server) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Value returns what stands under key, from behind: it is no call.
func (s *Server) Value(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.pairs[key]
	return string(p.Value), ok
}

// Set writes key as a foreign hand would.
func (s *Server) Set(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(key, []byte(value))
}

// Remove deletes key, and all below it, as a foreign hand would.
func (s *Server) Remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range slices.Collect(maps.Keys(s.pairs)) {
		if k == key || strings.HasPrefix(k, key+"/") {
			s.deleteLocked(k)
		}
	}
}

func (s *Server) setLocked(key string, value []byte) {
	if s.pairs == nil {
		s.pairs = make(map[string]store.KVPair)
	}
	s.index++
	p := store.KVPair{Key: key, Value: slices.Clone(value), LastIndex: s.index}
	s.pairs[key] = p
	for w := range s.watchers {
		if w.key == key {
			select {
			case w.events <- &p:
			default: // its buffer is for a test's worth of events
			}
		}
	}
}

func (s *Server) deleteLocked(key string) {
	delete(s.pairs, key)
	for w := range s.watchers {
		if w.key == key { // as ZooKeeper does
			close(w.events)
			delete(s.watchers, w)
		}
	}
}

func (s *Server) countLocked(op string) {
	if s.calls == nil {
		s.calls = make(map[string]int)
	}
	s.calls[op]++
}

// Put implements store.Store.
func (c *Store) Put(key string, value []byte, _ *store.WriteOptions) error {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked("put")
	s.setLocked(key, value)
	return nil
}

// Get implements store.Store.
func (c *Store) Get(key string) (*store.KVPair, error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked("get")
	p, ok := s.pairs[key]
	if !ok {
		return nil, store.ErrKeyNotFound
	}
	return &p, nil
}

// Delete implements store.Store.
func (c *Store) Delete(key string) error {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked("delete")
	if _, ok := s.pairs[key]; !ok {
		return store.ErrKeyNotFound
	}
	s.deleteLocked(key)
	return nil
}

// Exists implements store.Store.
func (c *Store) Exists(key string) (bool, error) {
	_, err := c.Get(key)
	return err == nil, nil
}

// Watch implements store.Store.
func (c *Store) Watch(key string, stop <-chan struct{}) (<-chan *store.KVPair, error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked("watch")
	if _, ok := s.pairs[key]; !ok {
		return nil, store.ErrKeyNotFound
	}
	w := &watcher{key: key, events: make(chan *store.KVPair, 1024)}
	if s.watchers == nil {
		s.watchers = make(map[*watcher]struct{})
	}
	s.watchers[w] = struct{}{}
	go func() {
		<-stop
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.watchers[w]; ok {
			close(w.events)
			delete(s.watchers, w)
		}
	}()
	return w.events, nil
}

// WatchTree implements store.Store; nobody uses it.
func (c *Store) WatchTree(string, <-chan struct{}) (<-chan []*store.KVPair, error) {
	return nil, store.ErrCallNotSupported
}

// NewLock implements store.Store; nobody uses it.
func (c *Store) NewLock(string, *store.LockOptions) (store.Locker, error) {
	return nil, store.ErrCallNotSupported
}

// List implements store.Store. Keys are child names alone, as ZooKeeper's are.
func (c *Store) List(directory string) ([]*store.KVPair, error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked("list")
	prefix := strings.TrimSuffix(directory, "/") + "/"
	var found []*store.KVPair
	for key, p := range s.pairs {
		if name, ok := strings.CutPrefix(key, prefix); ok && !strings.Contains(name, "/") {
			p.Key = name
			found = append(found, &p)
		}
	}
	if len(found) == 0 {
		return nil, store.ErrKeyNotFound
	}
	return found, nil
}

// DeleteTree implements store.Store.
func (c *Store) DeleteTree(directory string) error {
	c.server.Remove(directory)
	return nil
}

// AtomicPut implements store.Store.
func (c *Store) AtomicPut(key string, value []byte, previous *store.KVPair, _ *store.WriteOptions) (bool, *store.KVPair, error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked("put")
	p, ok := s.pairs[key]
	switch {
	case previous == nil && ok:
		return false, nil, store.ErrKeyExists
	case previous != nil && !ok:
		return false, nil, store.ErrKeyNotFound
	case previous != nil && p.LastIndex != previous.LastIndex:
		return false, nil, store.ErrKeyModified
	}
	s.setLocked(key, value)
	p = s.pairs[key]
	return true, &p, nil
}

// AtomicDelete implements store.Store.
func (c *Store) AtomicDelete(key string, previous *store.KVPair) (bool, error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked("delete")
	p, ok := s.pairs[key]
	switch {
	case previous == nil:
		return false, store.ErrPreviousNotSpecified
	case !ok:
		return false, store.ErrKeyNotFound
	case p.LastIndex != previous.LastIndex:
		return false, store.ErrKeyModified
	}
	s.deleteLocked(key)
	return true, nil
}

// Close implements store.Store.
func (c *Store) Close() {}
