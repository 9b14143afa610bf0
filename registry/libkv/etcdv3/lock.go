package etcdv3

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/docker/libkv/store"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// lockTTL is how long a lock outlives a holder that crashed.
const lockTTL = 20 * time.Second

// NewLock implements store.Store by etcd's own recipe, concurrency.Mutex. Of
// options, TTL is how long the lock outlives a holder that crashed, by default
// 20 s, in whole seconds; Value is what the key holds meanwhile. RenewLock is
// not looked at: the session renews itself until Unlock.
func (s *Store) NewLock(key string, options *store.LockOptions) (store.Locker, error) {
	l := &lock{store: s, key: path(key), ttl: lockTTL}
	if options != nil {
		l.value = options.Value
		if options.TTL > 0 {
			l.ttl = options.TTL
		}
	}
	return l, nil
}

// lock is held by one at a time, through a session of its own.
type lock struct {
	store *Store
	key   string
	ttl   time.Duration
	value []byte

	mu sync.Mutex
	// Guarded by mu.
	session *concurrency.Session // while it is held
	mutex   *concurrency.Mutex
}

// Lock implements store.Locker. It waits until the lock is had or stop is
// closed, then store.ErrCannotLock. The channel is closed when the lock is lost.
func (l *lock) Lock(stop chan struct{}) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil {
		return nil, errors.New("libkv/etcdv3: this lock is held already: make another with NewLock")
	}
	ctx, cancel := context.WithCancel(l.store.ctx)
	defer cancel()
	ended := make(chan struct{})
	defer func() { <-ended }()
	defer cancel()
	go func() {
		defer close(ended)
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	seconds := max(1, int((l.ttl+time.Second-1)/time.Second))
	// The lease is asked for with a context that stop ends, where a session's own
	// would wait for the server for ever.
	granted, err := l.store.client.Grant(ctx, int64(seconds))
	if err != nil {
		return nil, errors.Join(store.ErrCannotLock, err)
	}
	session, err := concurrency.NewSession(l.store.client, concurrency.WithLease(granted.ID), concurrency.WithContext(l.store.ctx))
	if err != nil {
		return nil, errors.Join(store.ErrCannotLock, err)
	}
	mutex := concurrency.NewMutex(session, l.key)
	if err = mutex.Lock(ctx); err == nil && len(l.value) > 0 {
		_, err = l.store.client.Put(ctx, mutex.Key(), string(l.value), clientv3.WithLease(session.Lease()))
	}
	if err != nil {
		return nil, errors.Join(store.ErrCannotLock, err, session.Close())
	}
	l.session, l.mutex = session, mutex
	return session.Done(), nil
}

// Unlock implements store.Locker. It fails when the lock is not held.
func (l *lock) Unlock() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil {
		return errors.New("libkv/etcdv3: the lock is not held")
	}
	ctx, cancel := l.store.call()
	defer cancel()
	err := errors.Join(l.mutex.Unlock(ctx), l.session.Close())
	l.session, l.mutex = nil, nil
	return err
}
