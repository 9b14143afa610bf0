package jwt

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// KeySet is the keys that count now. Its zero value is empty, and accepts no
// token. All methods may run concurrently; a verification uses the keys of one
// moment and takes no lock.
type KeySet struct {
	now atomic.Pointer[keys] // replaced with mu held, never changed
	mu  sync.Mutex
}

// keys are a KeySet at one moment.
type keys struct {
	byID    map[string]Key
	version uint64
}

var noKeys keys

// NewKeySet returns a set of keys. The error says which cannot be used and why.
func NewKeySet(list ...Key) (*KeySet, error) {
	s := new(KeySet)
	if err := s.Replace(list...); err != nil {
		return nil, err
	}
	return s, nil
}

// Replace puts list in the place of all keys, at once. With an error nothing
// has changed.
func (s *KeySet) Replace(list ...Key) error {
	next := make(map[string]Key, len(list))
	for _, k := range list {
		if err := k.check(); err != nil {
			return err
		}
		if _, twice := next[k.ID]; twice {
			return fmt.Errorf("jwt: %v: another key has this ID", k)
		}
		next[k.ID] = k
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.storeLocked(next)
	return nil
}

// Put adds a key, or replaces the one of its ID. The others stay. With an error
// nothing has changed.
func (s *KeySet) Put(k Key) error {
	if err := k.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.load().byID)
	if next == nil {
		next = make(map[string]Key, 1)
	}
	next[k.ID] = k
	s.storeLocked(next)
	return nil
}

// Remove has tokens of the key of that ID refused from now on, those too that
// were accepted before.
func (s *KeySet) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.load().byID)
	delete(next, id)
	s.storeLocked(next)
}

// IDs returns the IDs of the keys, sorted.
func (s *KeySet) IDs() []string { return slices.Sorted(maps.Keys(s.load().byID)) }

// Version changes with every change of the set.
func (s *KeySet) Version() uint64 { return s.load().version }

func (s *KeySet) load() *keys {
	if k := s.now.Load(); k != nil {
		return k
	}
	return &noKeys
}

func (s *KeySet) storeLocked(next map[string]Key) {
	s.now.Store(&keys{next, s.load().version + 1})
}
