// Package fakestore is a docker/libkv store.Store in memory that fails as the
// real ones do. It works inside testing/synctest bubbles.
package fakestore

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/libkv/store"
)

// ErrDown is what calls return while the server is down.
var ErrDown = errors.New("fakestore: the server is down")

// Faults are what goes wrong. The zero value is a store that works, with
// ZooKeeper's forms.
type Faults struct {
	// Down has every call fail at once.
	Down bool
	// Hang has every call, Close too, wait until Hang is taken back.
	Hang bool
	// Latency is how long every call takes.
	Latency time.Duration
	// EmptyFirst makes a key in two steps, the first of them empty, this far
	// apart: as Put does on ZooKeeper.
	EmptyFirst time.Duration
	// Deaf has watches tell nothing, and live on.
	Deaf bool
	// NoWatch is a store without watches, as BoltDB is.
	NoWatch bool
	// WatchMissing lets a watch wait for a missing key, as Consul does, where
	// others refuse.
	WatchMissing bool
	// Form is how List names what it finds.
	Form Form
	// Panic has every call panic.
	Panic bool
}

// Form is how List names what it finds.
type Form int

const (
	// ChildNames are the direct children's names alone, as with ZooKeeper.
	ChildNames Form = iota
	// AbsoluteKeys are the direct children's keys with a leading slash.
	AbsoluteKeys
	// AllLevels are the keys of all that has the prefix, the directory's own
	// too; a missing directory is ErrKeyNotFound. As with BoltDB.
	AllLevels
)

// Server is the data that stores share, as processes share a server. The zero
// value is ready.
type Server struct {
	mu sync.Mutex
	// Guarded by mu.
	faults   Faults
	healed   chan struct{} // closed when Hang is taken back; nil while nobody waits
	index    uint64
	pairs    map[string]store.KVPair
	watchers map[*watcher]struct{}
	calls    map[string]int // by operation
	opened   int
	closed   int
}

// watcher is one watch. Its goroutine hands over what is queued.
type watcher struct {
	key   string
	wake  chan struct{} // capacity 1
	queue []store.KVPair
	ended bool // its channel is to be closed
}

// Store is one connection to a Server.
type Store struct {
	server *Server

	mu sync.Mutex
	// Guarded by mu.
	closed bool
}

var _ store.Store = (*Store)(nil)

// Open returns a connection, also while the server is down, as the clients of
// real ones do.
func (s *Server) Open() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return &Store{server: s}
}

// Fail makes f what goes wrong from now on.
func (s *Server) Fail(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.Hang && !f.Hang && s.healed != nil {
		close(s.healed)
		s.healed = nil
	}
	s.faults = f
}

// Connections returns how many connections were opened and how many closed.
func (s *Server) Connections() (opened, closed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.closed
}

// Calls returns how often op was called: put, get, list, delete or watch.
func (s *Server) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Watches returns how many watches are armed.
func (s *Server) Watches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers)
}

// Value returns what stands under key. It is no call.
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
	s.setLocked(key, []byte(value))
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
		w.key = "\x00" // no key is called that
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
		if w.key == key && !s.faults.Deaf {
			w.tell(p)
		}
	}
}

func (s *Server) deleteLocked(key string) {
	delete(s.pairs, key)
	for w := range s.watchers {
		if w.key == key && !s.faults.WatchMissing { // as ZooKeeper does
			s.endLocked(w)
		}
	}
}

func (s *Server) endLocked(w *watcher) {
	w.ended = true
	delete(s.watchers, w)
	signal(w.wake)
}

func (w *watcher) tell(p store.KVPair) {
	w.queue = append(w.queue, p)
	signal(w.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// enter is what goes wrong with a call before it does anything.
func (c *Store) enter(op string) error {
	s := c.server
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	s.mu.Lock()
	if s.calls == nil {
		s.calls = make(map[string]int)
	}
	s.calls[op]++
	for s.faults.Hang {
		if s.healed == nil {
			s.healed = make(chan struct{})
		}
		healed := s.healed
		s.mu.Unlock()
		<-healed
		s.mu.Lock()
	}
	f := s.faults
	s.mu.Unlock()
	if f.Latency > 0 {
		time.Sleep(f.Latency)
	}
	switch {
	case f.Panic:
		panic("fakestore: asked to")
	case closed:
		return errors.New("fakestore: used after Close")
	case f.Down:
		return ErrDown
	}
	return nil
}

// Put implements store.Store.
func (c *Store) Put(key string, value []byte, _ *store.WriteOptions) error {
	if err := c.enter("put"); err != nil {
		return err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.pairs[key]; !there && s.faults.EmptyFirst > 0 {
		s.setLocked(key, nil)
		pause := s.faults.EmptyFirst
		s.mu.Unlock()
		time.Sleep(pause)
		s.mu.Lock()
	}
	s.setLocked(key, value)
	return nil
}

// Get implements store.Store.
func (c *Store) Get(key string) (*store.KVPair, error) {
	if err := c.enter("get"); err != nil {
		return nil, err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.pairs[key]
	if !ok {
		return nil, store.ErrKeyNotFound
	}
	return &p, nil
}

// Delete implements store.Store.
func (c *Store) Delete(key string) error {
	if err := c.enter("delete"); err != nil {
		return err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.pairs[key]; !ok {
		return store.ErrKeyNotFound
	}
	s.deleteLocked(key)
	return nil
}

// Exists implements store.Store.
func (c *Store) Exists(key string) (bool, error) {
	_, err := c.Get(key)
	if errors.Is(err, store.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
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
	switch {
	case s.faults.NoWatch:
		return nil, store.ErrCallNotSupported
	case !there && !s.faults.WatchMissing:
		return nil, store.ErrKeyNotFound
	}
	w := &watcher{key: key, wake: make(chan struct{}, 1)}
	if there {
		w.tell(p)
	}
	if s.watchers == nil {
		s.watchers = make(map[*watcher]struct{})
	}
	s.watchers[w] = struct{}{}
	events := make(chan *store.KVPair)
	go s.serve(w, events, stop)
	return events, nil
}

// serve hands over what is queued until the watch ends, or is stopped. As with
// the real ones, it waits for its reader.
func (s *Server) serve(w *watcher, events chan<- *store.KVPair, stop <-chan struct{}) {
	defer close(events)
	for {
		select {
		case <-w.wake:
		case <-stop:
			s.mu.Lock()
			delete(s.watchers, w)
			s.mu.Unlock()
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

// WatchTree implements store.Store; nobody uses it.
func (c *Store) WatchTree(string, <-chan struct{}) (<-chan []*store.KVPair, error) {
	return nil, store.ErrCallNotSupported
}

// NewLock implements store.Store; nobody uses it.
func (c *Store) NewLock(string, *store.LockOptions) (store.Locker, error) {
	return nil, store.ErrCallNotSupported
}

// List implements store.Store.
func (c *Store) List(directory string) ([]*store.KVPair, error) {
	if err := c.enter("list"); err != nil {
		return nil, err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := strings.TrimSuffix(directory, "/")
	var found []*store.KVPair
	_, there := s.pairs[dir]
	for key, p := range s.pairs {
		name, below := strings.CutPrefix(key, dir+"/")
		there = there || below
		switch s.faults.Form {
		case AllLevels:
			if below || key == dir {
				found = append(found, &p)
			}
			continue
		case AbsoluteKeys:
			p.Key = "/" + key
		case ChildNames:
			p.Key = name
		}
		if below && !strings.Contains(name, "/") {
			found = append(found, &p)
		}
	}
	if !there || s.faults.Form == AllLevels && len(found) == 0 {
		return nil, store.ErrKeyNotFound
	}
	return found, nil
}

// DeleteTree implements store.Store.
func (c *Store) DeleteTree(directory string) error {
	if err := c.enter("delete"); err != nil {
		return err
	}
	c.server.Remove(directory)
	return nil
}

// AtomicPut implements store.Store.
func (c *Store) AtomicPut(key string, value []byte, previous *store.KVPair, _ *store.WriteOptions) (bool, *store.KVPair, error) {
	if err := c.enter("put"); err != nil {
		return false, nil, err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
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
	if err := c.enter("delete"); err != nil {
		return false, err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
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

// Close implements store.Store. A second one panics, as ZooKeeper's does.
func (c *Store) Close() {
	c.mu.Lock()
	if c.closed {
		panic("fakestore: closed twice")
	}
	c.closed = true
	c.mu.Unlock()
	s := c.server
	s.mu.Lock()
	s.closed++
	s.mu.Unlock()
}
