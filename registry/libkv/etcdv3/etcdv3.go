// Package etcdv3 is a docker/libkv store.Store on etcd's v3 interface, which
// libkv's own driver, for the dead v2, does not speak. Importing it makes it
// known to registry/libkv:
//
//	import "github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
//
//	r, err := libkv.NewKVRegistry(etcdv3.Backend, "my-app", "/sinew/service",
//		[]string{"127.0.0.1:2379"}, 10*time.Second, nil)
//
// Keys are flat in etcd: "a/b" stands under "/a/b", with or without a key "/a".
// Indexes are revisions of modification, so comparing them is sound whoever
// wrote.
//
// # What an etcd must be told
//
// etcd keeps every value that a key ever had until it is told to compact, which by
// default it is not, and takes no write of anybody when its database has reached
// 2 GiB (etcdserver: mvcc: database space exceeded). A provider writes its entry anew
// every Interval, 17,280 times a day by default: of 3 kB, which is what an entry with
// a handful of methods has, that is 75 MB a day. Ten providers fill an etcd in three
// days, a thousand in three quarters of an hour. So start each server with
//
//	--auto-compaction-mode=periodic --auto-compaction-retention=10m
//
// or less: registry/libkv arms a watch anew that fell behind what was compacted. The
// driver does not compact by itself, because that removes the history of all keys,
// and others may want theirs. docs/operating.md says how to see how full an etcd is,
// and what to do when it is full.
package etcdv3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/docker/libkv"
	"github.com/docker/libkv/store"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Backend is the name under which the driver is registered.
const Backend store.Backend = "etcdv3"

const (
	// callTimeout bounds each call: without, one waits for a server for ever.
	callTimeout = 3 * time.Second
	// listTimeout bounds a list, which may be long, and slow where many list at
	// once. registry/libkv knows how long, and does not wait for it beyond that: it
	// would wait for so long where there are some 29,800 entries.
	listTimeout = 10 * time.Minute
	// redialMost is the longest pause between two attempts to connect. The
	// default of gRPC, two minutes, outlives most outages.
	redialMost = time.Second
	// keepAlive finds a connection that died without a word, under a watch or a
	// call. Without those none is sent: a server takes such pings for abuse, and
	// ends the connection after three (ENHANCE_YOUR_CALM, too_many_pings).
	keepAlive        = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
)

func init() {
	libkv.AddStore(Backend, func(addrs []string, cfg *store.Config) (store.Store, error) { return New(addrs, cfg) })
}

// Store is one client of etcd. Its methods may be called concurrently. Values of
// a key with a TTL hang on a lease, in whole seconds and at least one.
type Store struct {
	client  *clientv3.Client
	timeout time.Duration
	ctx     context.Context // of calls and watches; ends at Close
	cancel  context.CancelFunc
	watches sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	leases map[string]lease // by key, of what this store put with a TTL
	closed bool             // no watch begins
}

var _ store.Store = (*Store)(nil)

// New opens a store on the endpoints addrs: host:port, or URLs. Of cfg, which may
// be nil, TLS, Username and Password are used, and ConnectionTimeout bounds each
// call (default 3 s) but List, which may take 10 min. With a Username it logs in, which
// may fail and takes as long as a call; without, it waits for nothing, and a server
// that is down is told by the first call. The caller closes the store.
func New(addrs []string, cfg *store.Config) (*Store, error) {
	if len(addrs) == 0 {
		return nil, errors.New("libkv/etcdv3: no endpoint: name one, such as 127.0.0.1:2379")
	}
	var config store.Config
	if cfg != nil {
		config = *cfg
	}
	if config.ClientTLS != nil && config.TLS == nil {
		return nil, errors.New("libkv/etcdv3: ClientTLS is not read: set TLS, which says the same and more")
	}
	for _, addr := range addrs {
		switch {
		case config.TLS == nil && strings.HasPrefix(addr, "https://"):
			return nil, fmt.Errorf("libkv/etcdv3: %s wants TLS: set it in the Config", addr)
		case config.TLS != nil && strings.HasPrefix(addr, "http://"):
			return nil, fmt.Errorf("libkv/etcdv3: %s would be spoken to in the clear, though the Config has TLS: write https://", addr)
		}
	}
	timeout := cmp.Or(config.ConnectionTimeout, callTimeout)
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            addrs,
		TLS:                  config.TLS,
		Username:             config.Username,
		Password:             config.Password,
		DialTimeout:          timeout,
		DialKeepAliveTime:    keepAlive,
		DialKeepAliveTimeout: keepAliveTimeout,
		Logger:               zap.NewNop(), // what matters is an error that somebody gets
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: redialMost},
			MinConnectTimeout: timeout,
		})},
	})
	if err != nil {
		return nil, fmt.Errorf("libkv/etcdv3: %w", err)
	}
	s := &Store{client: client, timeout: timeout, leases: make(map[string]lease)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Close ends the client and its watches, and waits for those. It may be called
// more than once.
func (s *Store) Close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	if !closed {
		_ = s.client.Close() // its error is that of the context that was cancelled
	}
	s.watches.Wait()
}

// path is where key stands in etcd.
func path(key string) string { return "/" + strings.Trim(key, "/") }

// call returns the context of one call.
func (s *Store) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, s.timeout)
}

// Get implements store.Store. LastIndex is the revision of the last change.
func (s *Store) Get(key string) (*store.KVPair, error) {
	pair, _, err := s.get(key)
	return pair, err
}

// get returns the value of key, and the revision at which it was that.
func (s *Store) get(key string) (pair *store.KVPair, revision int64, err error) {
	ctx, cancel := s.call()
	defer cancel()
	r, err := s.client.Get(ctx, path(key))
	if err != nil {
		return nil, 0, err
	}
	if len(r.Kvs) == 0 {
		return nil, 0, store.ErrKeyNotFound
	}
	return &store.KVPair{Key: key, Value: r.Kvs[0].Value, LastIndex: uint64(r.Kvs[0].ModRevision)}, r.Header.Revision, nil
}

// Exists implements store.Store.
func (s *Store) Exists(key string) (bool, error) {
	ctx, cancel := s.call()
	defer cancel()
	r, err := s.client.Get(ctx, path(key), clientv3.WithCountOnly())
	if err != nil {
		return false, err
	}
	return r.Count > 0, nil
}

// Put implements store.Store. IsDir makes no difference.
func (s *Store) Put(key string, value []byte, options *store.WriteOptions) error {
	ctx, cancel := s.call()
	defer cancel()
	expiry, err := s.expiry(ctx, path(key), options)
	if err != nil {
		return err
	}
	_, err = s.client.Put(ctx, path(key), string(value), expiry...)
	return err
}

// Delete implements store.Store.
func (s *Store) Delete(key string) error {
	ctx, cancel := s.call()
	defer cancel()
	r, err := s.client.Delete(ctx, path(key))
	if err != nil {
		return err
	}
	if r.Deleted == 0 {
		return store.ErrKeyNotFound
	}
	s.forget(path(key))
	return nil
}

// List implements store.Store: the direct children of directory, by their whole
// keys without a leading slash. ErrKeyNotFound says that there are none.
func (s *Store) List(directory string) ([]*store.KVPair, error) {
	ctx, cancel := context.WithTimeout(s.ctx, max(s.timeout, listTimeout))
	defer cancel()
	pairs, _, err := s.children(ctx, directory)
	if err == nil && len(pairs) == 0 {
		return nil, store.ErrKeyNotFound
	}
	return pairs, err
}

// children returns the direct children, and the revision at which they were that.
func (s *Store) children(ctx context.Context, directory string) (pairs []*store.KVPair, revision int64, err error) {
	prefix := path(directory) + "/"
	r, err := s.client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, 0, err
	}
	pairs = []*store.KVPair{}
	for _, kv := range r.Kvs {
		key := string(kv.Key)
		if !strings.Contains(key[len(prefix):], "/") {
			pairs = append(pairs, &store.KVPair{Key: key[1:], Value: kv.Value, LastIndex: uint64(kv.ModRevision)})
		}
	}
	return pairs, r.Header.Revision, nil
}

// DeleteTree implements store.Store: all below directory, not itself.
func (s *Store) DeleteTree(directory string) error {
	ctx, cancel := s.call()
	defer cancel()
	_, err := s.client.Delete(ctx, path(directory)+"/", clientv3.WithPrefix())
	return err
}

// AtomicPut implements store.Store: a nil previous stands for a key that is
// missing.
func (s *Store) AtomicPut(key string, value []byte, previous *store.KVPair, options *store.WriteOptions) (bool, *store.KVPair, error) {
	ctx, cancel := s.call()
	defer cancel()
	expiry, err := s.expiry(ctx, path(key), options)
	if err != nil {
		return false, nil, err
	}
	as := clientv3.Compare(clientv3.CreateRevision(path(key)), "=", 0)
	if previous != nil {
		as = clientv3.Compare(clientv3.ModRevision(path(key)), "=", int64(previous.LastIndex))
	}
	r, err := s.client.Txn(ctx).If(as).
		Then(clientv3.OpPut(path(key), string(value), expiry...)).
		Else(clientv3.OpGet(path(key), clientv3.WithCountOnly())).Commit()
	switch {
	case err != nil:
		return false, nil, err
	case r.Succeeded:
		return true, &store.KVPair{Key: key, Value: value, LastIndex: uint64(r.Header.Revision)}, nil
	case previous == nil:
		return false, nil, store.ErrKeyExists
	}
	return false, nil, missingOrModified(r)
}

// AtomicDelete implements store.Store.
func (s *Store) AtomicDelete(key string, previous *store.KVPair) (bool, error) {
	if previous == nil {
		return false, store.ErrPreviousNotSpecified
	}
	ctx, cancel := s.call()
	defer cancel()
	r, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(path(key)), "=", int64(previous.LastIndex))).
		Then(clientv3.OpDelete(path(key))).
		Else(clientv3.OpGet(path(key), clientv3.WithCountOnly())).Commit()
	if err != nil {
		return false, err
	}
	if !r.Succeeded {
		return false, missingOrModified(r)
	}
	s.forget(path(key))
	return true, nil
}

// missingOrModified says why a comparison failed.
func missingOrModified(r *clientv3.TxnResponse) error {
	if r.Responses[0].GetResponseRange().Count == 0 {
		return store.ErrKeyNotFound
	}
	return store.ErrKeyModified
}
