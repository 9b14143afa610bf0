package etcdv3

import (
	"context"
	"strings"

	"github.com/docker/libkv/store"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Watch implements store.Store: the current value, then each change; of a key
// that was deleted an empty value. A missing key is ErrKeyNotFound. The channel
// is closed when stop is, at Close, and when etcd ends the watch, as it does when
// it was compacted away or has no leader: watch again then.
func (s *Store) Watch(key string, stop <-chan struct{}) (<-chan *store.KVPair, error) {
	current, revision, err := s.get(key)
	if err != nil {
		return nil, err
	}
	out := make(chan *store.KVPair, 1)
	out <- current
	return out, s.follow(stop, path(key), revision, func(ctx context.Context, w clientv3.WatchResponse) bool {
		for _, e := range w.Events {
			pair := &store.KVPair{Key: key, Value: e.Kv.Value, LastIndex: uint64(e.Kv.ModRevision)}
			if !send(ctx, out, pair) {
				return false
			}
		}
		return true
	}, func() { close(out) })
}

// WatchTree implements store.Store: the direct children, at first and after each
// change, whole. It ends as Watch does. A directory without children is no error.
func (s *Store) WatchTree(directory string, stop <-chan struct{}) (<-chan []*store.KVPair, error) {
	ctx, cancel := s.call()
	defer cancel()
	pairs, revision, err := s.children(ctx, directory)
	if err != nil {
		return nil, err
	}
	out := make(chan []*store.KVPair, 1)
	out <- pairs
	prefix := path(directory) + "/"
	tree := make(map[string]*store.KVPair, len(pairs))
	for _, p := range pairs {
		tree["/"+p.Key] = p
	}
	return out, s.follow(stop, prefix, revision, func(ctx context.Context, w clientv3.WatchResponse) bool {
		for _, e := range w.Events {
			change(tree, prefix, e)
		}
		whole := make([]*store.KVPair, 0, len(tree))
		for _, p := range tree {
			whole = append(whole, p)
		}
		return send(ctx, out, whole)
	}, func() { close(out) }, clientv3.WithPrefix())
}

// change applies an event of a direct child.
func change(tree map[string]*store.KVPair, prefix string, e *clientv3.Event) {
	key := string(e.Kv.Key)
	switch {
	case strings.Contains(key[len(prefix):], "/"):
	case e.Type == clientv3.EventTypeDelete:
		delete(tree, key)
	default:
		tree[key] = &store.KVPair{Key: key[1:], Value: e.Kv.Value, LastIndex: uint64(e.Kv.ModRevision)}
	}
}

func send[T any](ctx context.Context, out chan<- T, value T) bool {
	select {
	case out <- value:
		return true
	case <-ctx.Done():
		return false
	}
}

// follow hands over what changes after revision, until deliver says no, stop is
// closed, or etcd ends the watch. Nothing falls between the read that revision
// is of and the watch. done is called in the end. The error is that of a store
// that is closed.
func (s *Store) follow(stop <-chan struct{}, key string, revision int64, deliver func(context.Context, clientv3.WatchResponse) bool, done func(), options ...clientv3.OpOption) error {
	s.mu.Lock() // Close waits for what began before it
	defer s.mu.Unlock()
	if s.closed {
		return s.ctx.Err()
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(s.ctx))
	options = append(options, clientv3.WithRev(revision+1))
	s.watches.Go(func() {
		defer done()
		defer cancel()
		s.watches.Go(func() { // also while the watch begins, or who has stopped takes nothing more
			select {
			case <-stop:
				cancel()
			case <-ctx.Done():
			}
		})
		events := s.client.Watch(ctx, key, options...)
		for {
			select {
			case w, open := <-events:
				if !open || w.Err() != nil || !deliver(ctx, w) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
}
