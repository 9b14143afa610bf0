package fakestore

import (
	"errors"
	"time"
)

// Faults are what goes wrong. The zero value is a store that works, with
// ZooKeeper's forms.
type Faults struct {
	// Down has every call fail at once.
	Down bool
	// Hang has every call, Watch and Close too, wait until Hang is taken back.
	Hang bool
	// Unconfirmed has every write take effect and fail all the same, as when
	// ZooKeeper's leader changes before it has answered.
	Unconfirmed bool
	// Latency is how long every call but Close takes.
	Latency time.Duration
	// EmptyFirst makes a key in two steps, the first of them empty, this far
	// apart: as Put does on ZooKeeper.
	EmptyFirst time.Duration
	// Blind has a watch miss what changes so soon after it told something: the
	// last change of a burst is lost, as on ZooKeeper.
	Blind time.Duration
	// Deaf has watches tell nothing, and live on.
	Deaf bool
	// NoWatch is a store without watches, as BoltDB is.
	NoWatch bool
	// WatchMissing lets a watch wait for a missing key, and survive that its key
	// is deleted, as Consul does, where others refuse and close.
	WatchMissing bool
	// Form is how List names what it finds.
	Form Form
	// EmptyMissing has List return nothing and no error for a directory that is
	// missing.
	EmptyMissing bool
	// Unsound counts LastIndex anew in each connection, as BoltDB does in each
	// process, so that a stale comparison can hold.
	Unsound bool
	// HangClosed has calls after Close wait until it is taken back, as
	// ZooKeeper's do for ever, instead of failing.
	HangClosed bool
	// Panic has every call but Close panic.
	Panic bool
	// PanicClose has Close panic.
	PanicClose bool
}

// Form is how List names what it finds.
type Form int

const (
	// ChildNames are the direct children's names alone, as with ZooKeeper.
	ChildNames Form = iota
	// AbsoluteKeys are the direct children's keys with a leading slash, as with
	// etcd's v2 protocol.
	AbsoluteKeys
	// AllLevels are the keys of all that has the prefix, the directory's own
	// too; a directory without any is ErrKeyNotFound. As with BoltDB.
	AllLevels
	// Siblings is AllLevels with the keys of directories whose names begin with
	// the directory's, such as a/S2 for a/S, although a slash was given.
	Siblings
)

var (
	// ErrDown is what calls return while the server is down.
	ErrDown = errors.New("fakestore: the server is down")
	// ErrUnconfirmed is what writes return that took effect unconfirmed.
	ErrUnconfirmed = errors.New("fakestore: the connection was lost before the answer")
	// ErrClosed is what calls after Close return, unless they hang.
	ErrClosed = errors.New("fakestore: used after Close")
)

// Fail makes f what goes wrong from now on, at every connection that has no
// faults of its own. What hangs and no longer should goes on.
func (s *Server) Fail(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	s.changedLocked()
}

// Fail makes f what goes wrong at this connection alone. Nil takes that back:
// the server's faults hold again.
func (c *Store) Fail(f *Faults) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	c.own = f
	s.changedLocked()
}

// changedLocked has what hangs look again.
func (s *Server) changedLocked() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// faultsLocked returns what goes wrong at c now.
func (c *Store) faultsLocked() Faults {
	if c.own != nil {
		return *c.own
	}
	return c.server.faults
}

// awaitLocked waits, unlocked, while the faults say so.
func (c *Store) awaitLocked(hangs func(Faults) bool) {
	s := c.server
	for hangs(c.faultsLocked()) {
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.waiting++
		s.mu.Unlock()
		<-changed
		s.mu.Lock()
		s.waiting--
	}
}

// enter counts a call, and does what goes wrong before it does anything.
func (c *Store) enter(op string) error {
	s := c.server
	s.mu.Lock()
	s.countLocked(op)
	c.awaitLocked(func(f Faults) bool { return f.Hang || f.HangClosed && c.closed })
	f, closed := c.faultsLocked(), c.closed
	s.mu.Unlock()
	if f.Latency > 0 {
		time.Sleep(f.Latency)
	}
	switch {
	case f.Panic:
		panic("fakestore: asked to")
	case closed:
		return ErrClosed
	case f.Down:
		return ErrDown
	}
	return nil
}

// leaveLocked returns what a write that took effect says of itself.
func (c *Store) leaveLocked() error {
	if c.faultsLocked().Unconfirmed {
		return ErrUnconfirmed
	}
	return nil
}

func (s *Server) countLocked(op string) {
	if s.calls == nil {
		s.calls = make(map[string]int)
	}
	s.calls[op]++
}
