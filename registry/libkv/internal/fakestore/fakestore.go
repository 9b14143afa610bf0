// Package fakestore is a docker/libkv store.Store in memory that fails as the
// real ones do. A [Server] is the data, each [Store] a connection to it, and
// [Faults] say what goes wrong, at all connections or at one, changed at any
// time. It works inside testing/synctest bubbles, but what hangs must be let go
// before the bubble ends.
package fakestore

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/docker/libkv/store"
)

// Store is one connection to a Server.
type Store struct {
	server *Server

	// server.mu guards these.
	own    *Faults // instead of the server's
	index  uint64  // of this connection, for Faults.Unsound
	closed bool
}

var _ store.Store = (*Store)(nil)

// Put implements store.Store.
func (c *Store) Put(key string, value []byte, _ *store.WriteOptions) error {
	if err := c.enter("put"); err != nil {
		return err
	}
	s := c.server
	if pause := c.makeEmpty(key); pause > 0 {
		time.Sleep(pause)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(key, value, c.nextLocked())
	return c.leaveLocked()
}

// makeEmpty writes nothing under a fresh key, if that is what goes wrong, and
// returns for how long.
func (c *Store) makeEmpty(key string) (pause time.Duration) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	pause = c.faultsLocked().EmptyFirst
	if _, there := s.pairs[key]; there || pause <= 0 {
		return 0
	}
	s.setLocked(key, nil, c.nextLocked())
	return pause
}

// nextLocked returns the LastIndex of what is written now.
func (c *Store) nextLocked() uint64 {
	if c.faultsLocked().Unsound {
		c.index++
		return c.index
	}
	c.server.index++
	return c.server.index
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
	p.Value = slices.Clone(p.Value)
	return &p, nil
}

// Exists implements store.Store.
func (c *Store) Exists(key string) (bool, error) {
	_, err := c.Get(key)
	if errors.Is(err, store.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
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
	return c.leaveLocked()
}

// DeleteTree implements store.Store.
func (c *Store) DeleteTree(directory string) error {
	if err := c.enter("delete"); err != nil {
		return err
	}
	c.server.Remove(directory)
	return nil
}

// List implements store.Store.
func (c *Store) List(directory string) ([]*store.KVPair, error) {
	if err := c.enter("list"); err != nil {
		return nil, err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	f := c.faultsLocked()
	dir := strings.TrimSuffix(directory, "/")
	found := []*store.KVPair{}
	_, there := s.pairs[dir]
	for _, p := range s.pairs {
		there = there || strings.HasPrefix(p.Key, dir+"/")
		if name, ok := f.Form.name(dir, p.Key); ok {
			p.Key, p.Value = name, slices.Clone(p.Value)
			found = append(found, &p)
		}
	}
	all := f.Form == AllLevels || f.Form == Siblings
	if !f.EmptyMissing && (!there || all && len(found) == 0) {
		return nil, store.ErrKeyNotFound
	}
	return found, nil
}

// name returns what a list of dir calls key, if it has it.
func (f Form) name(dir, key string) (string, bool) {
	name, below := strings.CutPrefix(key, dir+"/")
	direct := below && !strings.Contains(name, "/")
	switch f {
	case Siblings:
		return key, strings.HasPrefix(key, dir)
	case AllLevels:
		return key, below || key == dir
	case AbsoluteKeys:
		return "/" + key, direct
	}
	return name, direct
}

// AtomicPut implements store.Store.
func (c *Store) AtomicPut(key string, value []byte, previous *store.KVPair, _ *store.WriteOptions) (bool, *store.KVPair, error) {
	if err := c.enter("put"); err != nil {
		return false, nil, err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.compareLocked(key, previous); err != nil {
		return false, nil, err
	}
	s.setLocked(key, value, c.nextLocked())
	p := s.pairs[key]
	if err := c.leaveLocked(); err != nil {
		return false, nil, err
	}
	return true, &p, nil
}

// AtomicDelete implements store.Store.
func (c *Store) AtomicDelete(key string, previous *store.KVPair) (bool, error) {
	if err := c.enter("delete"); err != nil {
		return false, err
	}
	if previous == nil {
		return false, store.ErrPreviousNotSpecified
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.compareLocked(key, previous); err != nil {
		return false, err
	}
	s.deleteLocked(key)
	err := c.leaveLocked()
	return err == nil, err
}

// compareLocked compares what stands under key with previous, nil for nothing.
func (s *Server) compareLocked(key string, previous *store.KVPair) error {
	p, there := s.pairs[key]
	switch {
	case previous == nil && there:
		return store.ErrKeyExists
	case previous != nil && !there:
		return store.ErrKeyNotFound
	case previous != nil && p.LastIndex != previous.LastIndex:
		return store.ErrKeyModified
	}
	return nil
}

// WatchTree implements store.Store; nobody uses it.
func (c *Store) WatchTree(string, <-chan struct{}) (<-chan []*store.KVPair, error) {
	return nil, store.ErrCallNotSupported
}

// NewLock implements store.Store; nobody uses it.
func (c *Store) NewLock(string, *store.LockOptions) (store.Locker, error) {
	return nil, store.ErrCallNotSupported
}

// Close implements store.Store. It closes the connection's watches. A second
// one panics, as ZooKeeper's does.
func (c *Store) Close() {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked("close")
	c.awaitLocked(func(f Faults) bool { return f.Hang })
	switch {
	case c.faultsLocked().PanicClose:
		panic("fakestore: Close was asked to panic")
	case c.closed:
		panic("fakestore: closed twice")
	}
	c.closed = true
	s.closed++
	for w := range s.watchers {
		if w.store == c {
			s.endLocked(w)
		}
	}
}
