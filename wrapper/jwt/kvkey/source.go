package kvkey

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/wrapper/jwt"
)

// What zero stands for in Option.
const (
	DefaultInterval  = 10 * time.Second
	DefaultCallLimit = 3 * time.Second
)

// Getter is what is needed of a store; a store.Store of libkv is one.
type Getter interface {
	Get(key string) (*store.KVPair, error)
}

// Option says how keys are followed. Its zero value is a good one.
type Option struct {
	// Interval is how often the set is read. The default, also for a negative
	// value, is 10 s.
	Interval time.Duration
	// CallLimit is how long the store may take to answer. The default, also for
	// a negative value, is 3 s.
	CallLimit time.Duration
}

// Source keeps a KeySet as a store has it. Close ends it. All methods may run
// concurrently.
//
// It owns one goroutine, and one more for the call of the store that is under
// way: a store that hangs is not asked again until it has answered.
type Source struct {
	kv       Getter
	key      string
	keys     *jwt.KeySet
	interval time.Duration
	limit    time.Duration

	stop    chan struct{} // closed by Close
	closing sync.Once
	ended   chan struct{} // closed when the goroutine has ended
	first   chan struct{} // closed after the first try

	last []byte // the value that the keys are of; the goroutine's own

	mu sync.Mutex
	// Guarded by mu:
	err error // of the last try
}

// Follow keeps keys as the JSON Web Key Set at key in kv says, from now until
// Close. It does not wait: until the first set was read, keys are what they were.
// kv stays the caller's and must not be closed before Close. A nil option is a
// zero one. The error says which argument cannot be used.
func Follow(kv Getter, key string, keys *jwt.KeySet, option *Option) (*Source, error) {
	switch {
	case kv == nil:
		return nil, errors.New("kvkey: the store is nil")
	case key == "":
		return nil, errors.New("kvkey: the key is empty")
	case keys == nil:
		return nil, errors.New("kvkey: the KeySet is nil")
	}
	if option == nil {
		option = new(Option)
	}
	s := &Source{
		kv:       kv,
		key:      key,
		keys:     keys,
		interval: cmp.Or(max(0, option.Interval), DefaultInterval),
		limit:    cmp.Or(max(0, option.CallLimit), DefaultCallLimit),
		stop:     make(chan struct{}),
		ended:    make(chan struct{}),
		first:    make(chan struct{}),
	}
	go s.run()
	return s, nil
}

// Tried returns a channel that is closed once the set was read for the first
// time, or could not be: Err tells.
func (s *Source) Tried() <-chan struct{} { return s.first }

// Err returns why the last try to read the set failed, nil where it did not.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the Source and leaves the keys as they are. It waits for a call of
// the store that is under way, at most for CallLimit: one that hangs is left
// behind. It returns nil and may be called more than once.
func (s *Source) Close() error {
	s.closing.Do(func() { close(s.stop) })
	<-s.ended
	return nil
}

// run reads the set now and every interval.
func (s *Source) run() {
	defer close(s.ended)
	var answer chan answer // of the call under way, nil while there is none
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			s.leave(answer)
			return
		case <-timer.C:
		}
		if answer == nil {
			answer = s.ask()
		}
		if s.await(answer) {
			answer = nil
		}
		s.tried()
		timer.Reset(s.interval)
	}
}

// answer is what the store said.
type answer struct {
	value []byte
	err   error
}

// ask begins a call of the store.
func (s *Source) ask() chan answer {
	to := make(chan answer, 1)
	go func() {
		value, err := get(s.kv, s.key)
		to <- answer{value, err}
	}()
	return to
}

// get makes an error of a missing value and of a panic in the store.
func get(kv Getter, key string) (value []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the store panicked: %v", p)
		}
	}()
	pair, err := kv.Get(key)
	switch {
	case err != nil:
		return nil, err
	case pair == nil:
		return nil, store.ErrKeyNotFound
	}
	return pair.Value, nil
}

// await waits for an answer and takes it in; false when it is late, and to be
// waited for again.
func (s *Source) await(from chan answer) bool {
	late := time.NewTimer(s.limit)
	defer late.Stop()
	select {
	case a := <-from:
		s.took(s.take(a))
		return true
	case <-late.C:
		s.took(fmt.Errorf("kvkey: the store has not answered for %v", s.limit))
	case <-s.stop:
	}
	return false
}

// take makes keys of an answer.
func (s *Source) take(a answer) error {
	if a.err != nil {
		return fmt.Errorf("kvkey: reading %q: %w", s.key, a.err)
	}
	if s.last != nil && bytes.Equal(a.value, s.last) {
		return nil
	}
	list, leftOut, err := parse(a.value)
	if err != nil {
		return err
	}
	if err := s.keys.Replace(list...); err != nil {
		return err
	}
	s.last = append([]byte{}, a.value...)
	for _, why := range leftOut {
		log.Warningf("kvkey: a key at %q is left out: %v", s.key, why)
	}
	log.Infof("kvkey: the keys at %q are now %q", s.key, s.keys.IDs())
	return nil
}

// took notes what a try came to, and logs where that is news.
func (s *Source) took(err error) {
	s.mu.Lock()
	before := s.err
	s.err = err
	s.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		log.Warningf("kvkey: the last good keys stay in use: %v", err)
	case err == nil && before != nil:
		log.Infof("kvkey: the keys at %q can be read again", s.key)
	}
}

func (s *Source) tried() {
	select {
	case <-s.first:
	default:
		close(s.first)
	}
}

// leave waits for a call that is under way, as long as it may take.
func (s *Source) leave(from chan answer) {
	if from == nil {
		return
	}
	late := time.NewTimer(s.limit)
	defer late.Stop()
	select {
	case <-from:
	case <-late.C:
		log.Warningf("kvkey: the store hangs: what it was asked last is left behind")
	}
}
