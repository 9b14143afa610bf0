package etcdv3

import (
	"context"
	"errors"
	"time"

	"github.com/docker/libkv/store"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// lease is what a key expires with.
type lease struct {
	id      clientv3.LeaseID
	seconds int64
}

// expiry returns what makes a put expire, nothing without a TTL. The lease that
// the key has is prolonged; a new one for each put would pile up at the server.
// One that was lost, or is of another TTL, is never used again.
func (s *Store) expiry(ctx context.Context, key string, options *store.WriteOptions) ([]clientv3.OpOption, error) {
	if options == nil || options.TTL <= 0 {
		s.forget(key)
		return nil, nil
	}
	seconds := int64((options.TTL + time.Second - 1) / time.Second)
	s.mu.Lock()
	had, known := s.leases[key]
	s.mu.Unlock()
	if known && had.seconds == seconds {
		_, err := s.client.KeepAliveOnce(ctx, had.id)
		if err == nil {
			return []clientv3.OpOption{clientv3.WithLease(had.id)}, nil
		}
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil, err
		}
	}
	granted, err := s.client.Grant(ctx, seconds)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.leases[key] = lease{granted.ID, seconds}
	s.mu.Unlock()
	return []clientv3.OpOption{clientv3.WithLease(granted.ID)}, nil
}

// forget leaves a lease to its end: the key is gone, or does not expire any more.
func (s *Store) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, key)
}
