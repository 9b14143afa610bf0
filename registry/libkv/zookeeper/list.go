package zookeeper

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/docker/libkv/store"
	"github.com/samuel/go-zookeeper/zk"

	"github.com/sinew-rpc/sinew/internal/log"
)

// readsAtOnce is how many children of a list are read at the same time: a round
// trip for each, one after the other, is what makes long lists slow.
const readsAtOnce = 8

// soh is what libkv's store takes for a node whose value is still to come. As a
// value it is no entry of anybody's, so it stands also for one that cannot be read.
const soh = "\x01"

// lister reads directories, by a connection of its own: that of libkv's store is
// not for others. Methods may be called concurrently.
type lister struct {
	conn *zk.Conn
	ctx  context.Context // ends when close begins
	stop context.CancelFunc

	// open is held for reading by whoever uses conn, and for writing by close: the
	// client never returns from what it is asked after its end.
	open sync.RWMutex
}

func newLister(conn *zk.Conn) *lister {
	l := &lister{conn: conn}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// close ends the connection once the requests under way have returned, which are
// followed by no others. It may be called once.
func (l *lister) close() {
	l.stop()
	l.open.Lock()
	defer l.open.Unlock()
	l.conn.Close()
}

// list returns the children of directory as libkv's List does: their names, their
// values, and the index of directory itself. Who leaves meanwhile is not listed.
func (l *lister) list(directory string) ([]*store.KVPair, error) {
	l.open.RLock()
	defer l.open.RUnlock()
	path := pathOf(directory)
	if err := l.catchUp(path); err != nil {
		return nil, err
	}
	names, stat, err := l.conn.Children(path)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, store.ErrKeyNotFound
	}
	if err != nil {
		return nil, err
	}
	return l.children(path, names, uint64(stat.Version))
}

// get returns key as libkv's Get does, also where its value is soh.
func (l *lister) get(key string) (*store.KVPair, error) {
	l.open.RLock()
	defer l.open.RUnlock()
	path := pathOf(key)
	if err := l.catchUp(path); err != nil {
		return nil, err
	}
	value, stat, err := l.conn.Get(path)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, store.ErrKeyNotFound
	}
	if err != nil {
		return nil, err
	}
	return &store.KVPair{Key: key, Value: value, LastIndex: uint64(stat.Version)}, nil
}

// catchUp has the server at the other end of conn know all that the other servers
// had told when it began. libkv's store may be connected to another, and a list
// must not be older than the parent that was read there before it.
func (l *lister) catchUp(path string) error {
	if l.ctx.Err() != nil {
		return zk.ErrClosing
	}
	_, err := l.conn.Sync(path)
	return err
}

// children reads the children of path called names, a few at once, without those
// that have left. The first error that is not a child's own ends it.
func (l *lister) children(path string, names []string, index uint64) ([]*store.KVPair, error) {
	ctx, fail := context.WithCancelCause(l.ctx)
	defer fail(nil)
	pairs := make([]*store.KVPair, len(names))
	var next atomic.Int64
	var readers sync.WaitGroup
	for range min(readsAtOnce, len(names)) {
		readers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(names)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				value, there, err := l.child(path + "/" + names[i])
				if err != nil {
					fail(err)
				} else if there {
					pairs[i] = &store.KVPair{Key: names[i], Value: value, LastIndex: index}
				}
			}
		})
	}
	readers.Wait()
	switch {
	case l.ctx.Err() != nil:
		return nil, zk.ErrClosing
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return slices.DeleteFunc(pairs, func(p *store.KVPair) bool { return p == nil }), nil
}

// child reads one child: soh where it is there and cannot be read. Errors are of
// the connection.
func (l *lister) child(path string) (value []byte, there bool, err error) {
	value, _, err = l.conn.Get(path)
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return nil, false, nil
	case errors.Is(err, zk.ErrNoAuth), errors.Is(err, zk.ErrInvalidPath):
		log.V(1).Infof("zookeeper: %q is listed and cannot be read: %v", path, err)
		return []byte(soh), true, nil
	}
	return value, err == nil, err
}

// pathOf is what libkv's store makes of a key.
func pathOf(key string) string {
	return strings.TrimSuffix(store.Normalize(key), "/")
}
