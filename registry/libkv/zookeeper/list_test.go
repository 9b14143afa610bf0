package zookeeper_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/libkv/store"
	driver "github.com/docker/libkv/store/zookeeper"
	"github.com/samuel/go-zookeeper/zk"

	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/registry/libkv/zookeeper"
)

// TestListWhileOthersLeave lists 250 who stay while one after the other of 50 is
// replaced, as a deploy does it, as fast as the server lets them. How long a list
// takes is counted in departures.
func TestListWhileOthersLeave(t *testing.T) {
	const stay, leave, lists, most = 250, 50, 5, 2000
	server := registryserver.ZooKeeper(t)
	conn := connect(t, server.Addr())
	makeNode(t, conn, "/app", "")
	for i := range stay {
		makeNode(t, conn, fmt.Sprintf("/app/stays%d", i), "v")
	}
	for i := range leave {
		makeNode(t, conn, leaver(i), "v")
	}
	s := open(t, server.Addr())

	var departures atomic.Int64
	stopped, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- replace(conn, leave, most, &departures, stopped) }()
	for range lists {
		pairs, err := s.List("app/")
		if err != nil {
			t.Error(err)
		}
		if n := countPrefix(pairs, "stays"); n != stay {
			t.Errorf("%d of %d who stay are listed", n, stay)
		}
	}
	n := departures.Load()
	close(stopped)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d lists took %d departures", lists, n)
	if n >= most {
		t.Errorf("%d lists were not there before %d had left", lists, most)
	}
}

// replace has one after the other of those who leave replaced by a new one, most
// times or until stopped.
func replace(conn *zk.Conn, leave, most int, departures *atomic.Int64, stopped <-chan struct{}) error {
	for i := range most {
		select {
		case <-stopped:
			return nil
		default:
		}
		if _, err := conn.Create(leaver(i+leave), []byte("v"), 0, zk.WorldACL(zk.PermAll)); err != nil {
			return err
		}
		if err := conn.Delete(leaver(i), -1); err != nil {
			return err
		}
		departures.Add(1)
	}
	return nil
}

func leaver(i int) string { return fmt.Sprintf("/app/leaves%d", i) }

// TestClosedRoot has an application registered for the first time where its operator
// has given it a directory, and closed what is above.
func TestClosedRoot(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	conn := connect(t, server.Addr())
	makeNode(t, conn, "/sinew", "")
	makeNode(t, conn, "/sinew/service", "")
	for _, path := range []string{"/", "/sinew"} {
		if _, err := conn.SetACL(path, zk.WorldACL(zk.PermRead), -1); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := libkv.NewKVRegistry(zookeeper.Backend, "my-app", "/sinew/service", []string{server.Addr()}, time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Register(ctx, registry.RegisterOption{}, registry.Provider{Network: "tcp", Addr: "10.0.0.1:80"}); err != nil {
		t.Error(err)
	}

	s := open(t, server.Addr())
	if _, _, err := s.AtomicPut("elsewhere/a", []byte("v"), nil, nil); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("creating below the closed root: %v, want %v", err, zk.ErrNoAuth)
	}
	if _, _, err := s.AtomicPut("sinew/service/a/b/c", []byte("v"), nil, nil); err != nil {
		t.Errorf("creating with two directories missing: %v", err)
	}
	if _, _, err := s.AtomicPut("sinew/service/a/b/c", []byte("v"), nil, nil); !errors.Is(err, store.ErrKeyExists) {
		t.Errorf("creating what exists: %v, want %v", err, store.ErrKeyExists)
	}
}

// TestUnreadableChildren has two children that no driver can read beside a provider.
func TestUnreadableChildren(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	conn := connect(t, server.Addr())
	for _, dir := range []string{"/sinew", "/sinew/service", "/sinew/service/my-app"} {
		makeNode(t, conn, dir, "")
	}
	makeNode(t, conn, "/sinew/service/my-app/tcp@10.0.0.2:80", "\x01")
	foreign := zk.DigestACL(zk.PermAll, "somebody", "else")
	if _, err := conn.Create("/sinew/service/my-app/tcp@10.0.0.3:80", []byte("v"), 0, foreign); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := libkv.NewKVRegistry(zookeeper.Backend, "my-app", "/sinew/service", []string{server.Addr()}, time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Register(ctx, registry.RegisterOption{}, registry.Provider{Network: "tcp", Addr: "10.0.0.1:80"}); err != nil {
		t.Fatal(err)
	}
	w, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	list, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Providers) != 1 || list.Providers[0].Addr != "10.0.0.1:80" {
		t.Errorf("listed are %v, want the one that can be read", list.Providers)
	}
	if n := r.Stats().Reader.Unreadable; n != 2 {
		t.Errorf("%d entries are unreadable, want 2", n)
	}

	// What was written by mistake can be put right, or removed.
	s := open(t, server.Addr())
	pair, err := s.Get("sinew/service/my-app/tcp@10.0.0.2:80")
	if err != nil || string(pair.Value) != "\x01" {
		t.Fatalf("the value is %v, %v", pair, err)
	}
	if _, err := s.AtomicDelete(pair.Key, pair); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(pair.Key); !errors.Is(err, store.ErrKeyNotFound) {
		t.Errorf("after it was removed: %v", err)
	}
}

// TestListIsThatOfTheDriver holds lists against those of libkv's own store.
func TestListIsThatOfTheDriver(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	conn := connect(t, server.Addr())
	makeNode(t, conn, "/app", "first")
	for i := range 3 { // the directory's index is not that of its children
		if _, err := conn.Set("/app", fmt.Append(nil, i), -1); err != nil {
			t.Fatal(err)
		}
	}
	makeNode(t, conn, "/app/empty", "")
	makeNode(t, conn, "/app/tcp@[::1]:80", "a=1&b=\x00\xff")
	makeNode(t, conn, "/app/dir", "d")
	makeNode(t, conn, "/app/dir/below", "b")
	makeNode(t, conn, "/app2", "a sibling")
	if _, err := conn.Create("/app/nil", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	theirs, err := driver.New([]string{server.Addr()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ours := open(t, server.Addr())
	for _, dir := range []string{"app", "app/", "app/dir/", "app/empty/", "missing/", "/app", ""} {
		got, gotErr := ours.List(dir)
		want, wantErr := theirs.List(dir)
		if !errors.Is(gotErr, wantErr) || !reflect.DeepEqual(byKey(got), byKey(want)) {
			t.Errorf("List(%q) is %v, %v; libkv's is %v, %v", dir, keys(got), gotErr, keys(want), wantErr)
		}
	}
}

// TestClosedStoreListsNothing: libkv's, asked after its end, never returns.
func TestClosedStoreListsNothing(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	makeNode(t, connect(t, server.Addr()), "/app", "")
	s := open(t, server.Addr())
	if _, err := s.List("app/"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if pairs, err := s.List("app/"); !errors.Is(err, zk.ErrClosing) {
		t.Errorf("listed %v, %v", keys(pairs), err)
	}
}

func open(t *testing.T, addr string) store.Store {
	t.Helper()
	s, err := zookeeper.New([]string{addr}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, addr string) *zk.Conn {
	t.Helper()
	conn, _, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func makeNode(t *testing.T, conn *zk.Conn, path, value string) {
	t.Helper()
	if _, err := conn.Create(path, []byte(value), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
}

func countPrefix(pairs []*store.KVPair, prefix string) (n int) {
	for _, p := range pairs {
		if strings.HasPrefix(p.Key, prefix) {
			n++
		}
	}
	return n
}

func byKey(pairs []*store.KVPair) []*store.KVPair {
	slices.SortFunc(pairs, func(a, b *store.KVPair) int { return cmp.Compare(a.Key, b.Key) })
	return pairs
}

func keys(pairs []*store.KVPair) (names []string) {
	for _, p := range pairs {
		names = append(names, p.Key)
	}
	return names
}
