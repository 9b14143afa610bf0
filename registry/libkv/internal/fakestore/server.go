package fakestore

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/docker/libkv/store"
)

// Server is the data that stores share, as processes share a server, and what
// goes wrong with it. The zero value is ready. Its methods are no calls of a
// store: they are not counted, never fail, and may run concurrently.
type Server struct {
	mu sync.Mutex
	// Guarded by mu.
	faults   Faults
	changed  chan struct{} // closed when faults change; nil while nobody waits
	index    uint64
	pairs    map[string]store.KVPair
	watchers map[*watcher]struct{}
	pumps    int            // goroutines of watches
	waiting  int            // calls that hang
	calls    map[string]int // by operation
	opened   int
	closed   int
}

// Open returns a connection, also while the server is down, as the clients of
// real ones do.
func (s *Server) Open() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return &Store{server: s}
}

// Connections returns how many connections were opened and how many closed.
func (s *Server) Connections() (opened, closed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.closed
}

// Calls returns how often op was called: put, get, list, delete, watch or
// close. Exists counts as get, AtomicPut as put, AtomicDelete and DeleteTree as
// delete. A call counts when it begins, whether it fails or hangs.
func (s *Server) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Reads returns how many calls read: get, list and watch.
func (s *Server) Reads() int { return s.Calls("get") + s.Calls("list") + s.Calls("watch") }

// Writes returns how many calls write: put and delete.
func (s *Server) Writes() int { return s.Calls("put") + s.Calls("delete") }

// Hanging returns how many calls hang at this moment.
func (s *Server) Hanging() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// Watches returns how many watches are armed.
func (s *Server) Watches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers)
}

// Pumps returns how many goroutines of watches run. One whose watch was
// stopped, or has ended, is left over while nobody reads its channel, as with
// libkv.
func (s *Server) Pumps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pumps
}

// Value returns what stands under key.
func (s *Server) Value(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.pairs[key]
	return string(p.Value), ok
}

// Set writes key, as a foreign hand would.
func (s *Server) Set(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	s.setLocked(key, []byte(value), s.index)
}

// Remove deletes key and all below it, as a foreign hand would.
func (s *Server) Remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range slices.Collect(maps.Keys(s.pairs)) {
		if k == key || strings.HasPrefix(k, key+"/") {
			s.deleteLocked(k)
		}
	}
}

// DropWatches closes every watch, as a lost connection does.
func (s *Server) DropWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		s.endLocked(w)
	}
}

// ForgetWatches lets every watch live on and tell nothing any more, as an
// expired session does.
func (s *Server) ForgetWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		w.forgotten = true
	}
}

func (s *Server) setLocked(key string, value []byte, index uint64) {
	if s.pairs == nil {
		s.pairs = make(map[string]store.KVPair)
	}
	p := store.KVPair{Key: key, Value: slices.Clone(value), LastIndex: index}
	s.pairs[key] = p
	for w := range s.watchers {
		w.changedLocked(p)
	}
}

func (s *Server) deleteLocked(key string) {
	delete(s.pairs, key)
	for w := range s.watchers {
		if w.key == key && !w.forgotten && !w.store.faultsLocked().WatchMissing { // as ZooKeeper does
			s.endLocked(w)
		}
	}
}
