package etcdv3_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/libkv/store"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
)

func open(t *testing.T, addr string, cfg *store.Config) *etcdv3.Store {
	t.Helper()
	s, err := etcdv3.New([]string{addr}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A list has more time than ConnectionTimeout, which is for calls that are answered at
// once: it may be long.
func TestListOutlivesTheTimeoutOfCalls(t *testing.T) {
	relay := registryserver.NewRelay(t, registryserver.Etcd(t).Addr())
	s := open(t, relay.Addr(), &store.Config{ConnectionTimeout: time.Second})
	if err := s.Put("a/b", []byte("1"), nil); err != nil {
		t.Fatal(err)
	}
	relay.BlackHole()
	listed := make(chan error, 1)
	go func() {
		pairs, err := s.List("a")
		if err == nil && len(pairs) != 1 {
			err = fmt.Errorf("%d children, want 1", len(pairs))
		}
		listed <- err
	}()
	for range 2 {
		if _, err := s.Get("a/b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get: %v, want that its time was over", err)
		}
	}
	relay.Heal()
	if err := <-listed; err != nil {
		t.Errorf("List: %v", err)
	}
}

// What store.Store promises, in one pass over a real server.
func TestStore(t *testing.T) {
	s := open(t, registryserver.Etcd(t).Addr(), nil)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	want := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	_, err := s.Get("a/b")
	want("Get of what is missing", err, store.ErrKeyNotFound)
	want("Delete of what is missing", s.Delete("a/b"), store.ErrKeyNotFound)
	_, err = s.List("a")
	want("List of what is missing", err, store.ErrKeyNotFound)
	_, err = s.Watch("a/b", nil)
	want("Watch of what is missing", err, store.ErrKeyNotFound)

	_, created, err := s.AtomicPut("a/b", []byte("1"), nil, nil)
	must("AtomicPut of a new key", err)
	_, _, err = s.AtomicPut("a/b", []byte("2"), nil, nil)
	want("AtomicPut of a key that exists", err, store.ErrKeyExists)
	got, err := s.Get("/a/b")
	must("Get", err)
	if string(got.Value) != "1" || got.LastIndex != created.LastIndex {
		t.Errorf("Get: %q at %d, want 1 at %d", got.Value, got.LastIndex, created.LastIndex)
	}
	_, _, err = s.AtomicPut("a/b", []byte("2"), got, nil)
	must("AtomicPut over what was read", err)
	_, _, err = s.AtomicPut("a/b", []byte("3"), got, nil)
	want("AtomicPut over what was changed", err, store.ErrKeyModified)
	_, err = s.AtomicDelete("a/b", got)
	want("AtomicDelete of what was changed", err, store.ErrKeyModified)

	must("Put", s.Put("a/c", []byte("\x00\xff"), nil))
	must("Put below", s.Put("a/c/d", []byte("deep"), nil))
	must("Put beside", s.Put("ab/x", []byte("beside"), nil))
	pairs, err := s.List("a/")
	must("List", err)
	var listed []string
	for _, p := range pairs {
		listed = append(listed, fmt.Sprintf("%s=%q", p.Key, p.Value))
	}
	if text := strings.Join(listed, " "); text != `a/b="2" a/c="\x00\xff"` {
		t.Errorf("List: %s", text)
	}
	if ok, err := s.Exists("a/c"); !ok || err != nil {
		t.Errorf("Exists: %v, %v", ok, err)
	}
	got, err = s.Get("a/b")
	must("Get", err)
	_, err = s.AtomicDelete("a/b", got)
	must("AtomicDelete", err)
	_, err = s.AtomicDelete("a/b", got)
	want("AtomicDelete of what is gone", err, store.ErrKeyNotFound)
	must("DeleteTree", s.DeleteTree("a"))
	if ok, err := s.Exists("ab/x"); !ok || err != nil {
		t.Errorf("DeleteTree took a sibling: %v, %v", ok, err)
	}
}

func next[T any](t *testing.T, events <-chan T) T {
	t.Helper()
	select {
	case e, open := <-events:
		if !open {
			t.Fatal("the watch is closed")
		}
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
		panic("unreachable")
	}
}

func awaitClosed[T any](t *testing.T, events <-chan T) {
	t.Helper()
	for {
		select {
		case _, open := <-events:
			if !open {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the watch is not closed")
		}
	}
}

// drain takes what comes until the channel is closed.
func drain(t *testing.T, from <-chan *store.KVPair) (n int) {
	t.Helper()
	late := time.After(5 * time.Second)
	for {
		select {
		case _, open := <-from:
			if !open {
				return n
			}
			n++
		case <-late:
			t.Fatal("the channel is not closed")
		}
	}
}

func TestWatch(t *testing.T) {
	s := open(t, registryserver.Etcd(t).Addr(), nil)
	for i := range 3 {
		if err := s.Put(fmt.Sprintf("w/%d", i), []byte("0"), nil); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	key, err := s.Watch("w/1", stop)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.WatchTree("w", stop)
	if err != nil {
		t.Fatal(err)
	}
	if p := next(t, key); string(p.Value) != "0" {
		t.Errorf("at first %q", p.Value)
	}
	if all := next(t, tree); len(all) != 3 {
		t.Errorf("at first %d children", len(all))
	}
	for i := 1; i <= 10; i++ {
		if err := s.Put("w/1", fmt.Append(nil, i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i <= 10; i++ {
		if p := next(t, key); string(p.Value) != fmt.Sprint(i) {
			t.Errorf("event %d has %q", i, p.Value)
		}
	}
	for newest := ""; newest != "10"; { // etcd may tell of several changes at once, and that is one list
		for _, p := range next(t, tree) {
			if strings.HasSuffix(p.Key, "w/1") {
				newest = string(p.Value)
			}
		}
	}
	if err := s.Delete("w/2"); err != nil {
		t.Fatal(err)
	}
	if all := next(t, tree); len(all) != 2 {
		t.Errorf("after a removal %d children", len(all))
	}
	close(stop)
	awaitClosed(t, key)
	awaitClosed(t, tree)

	stop = make(chan struct{})
	if key, err = s.Watch("w/1", stop); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one more than the channel holds, which nobody takes
		if err := s.Put("w/1", []byte("more"), nil); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	time.Sleep(200 * time.Millisecond)
	if n := drain(t, key); n > 1 {
		t.Errorf("%d values came after stop, want what was there before", n)
	}

	last, err := s.Watch("w/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	awaitClosed(t, last)
	s.Close() // again is nothing
	if _, err := s.Watch("w/1", nil); err == nil {
		t.Error("a closed store watches")
	}
}

// A key lives by its lease; putting it again prolongs that, and a lease that
// was lost is replaced.
func TestTTL(t *testing.T) {
	addr := registryserver.Etcd(t).Addr()
	s := open(t, addr, nil)
	put := func() {
		t.Helper()
		if err := s.Put("ttl", []byte("x"), &store.WriteOptions{TTL: time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	put()
	raw, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	put()
	leases, err := raw.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(leases.Leases) != 1 {
		t.Errorf("%d leases after two puts, want 1", len(leases.Leases))
	}
	if _, err := raw.Revoke(ctx, leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	put()
	begun := time.Now()
	for {
		if ok, err := s.Exists("ttl"); err != nil {
			t.Fatal(err)
		} else if !ok {
			break
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the key outlives its TTL")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestLock(t *testing.T) {
	addr := registryserver.Etcd(t).Addr()
	a, b := open(t, addr, nil), open(t, addr, nil)
	first, _ := a.NewLock("lock", &store.LockOptions{Value: []byte("a"), TTL: 5 * time.Second})
	second, _ := b.NewLock("lock", nil)
	lost, err := first.Lock(nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	close(stop)
	if _, err := second.Lock(stop); !errors.Is(err, store.ErrCannotLock) {
		t.Errorf("a lock that is held was had, or %v", err)
	}
	if err := first.Unlock(); err != nil {
		t.Error(err)
	}
	<-lost
	if _, err := second.Lock(nil); err != nil {
		t.Error(err)
	}
	if err := second.Unlock(); err != nil {
		t.Error(err)
	}
	if err := second.Unlock(); err == nil {
		t.Error("a lock that is not held was unlocked")
	}
}

// A server that is away costs each call its time, and no more; afterwards all
// goes on.
func TestServerAwayAndBack(t *testing.T) {
	server := registryserver.Etcd(t)
	s := open(t, server.Addr(), &store.Config{ConnectionTimeout: time.Second})
	if err := s.Put("k", []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	begun := time.Now()
	if err := s.Put("k", []byte("w"), nil); err == nil {
		t.Error("a put without a server worked")
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("a call took %v", took)
	}
	waiting, err := s.NewLock("lock", nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() { close(stop) })
	begun = time.Now()
	if _, err := waiting.Lock(stop); !errors.Is(err, store.ErrCannotLock) {
		t.Errorf("a lock without a server: %v", err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("a lock that was stopped waited for %v", took)
	}
	server.Restart()
	begun = time.Now()
	for s.Put("k", []byte("x"), nil) != nil {
		if time.Since(begun) > 20*time.Second {
			t.Fatal("calls do not come back")
		}
	}
	t.Logf("calls came back %v after the server", time.Since(begun).Round(time.Millisecond))
}

// Passwords reach the server, and a wrong one is told.
func TestPassword(t *testing.T) {
	addr := registryserver.Etcd(t).Addr()
	raw, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err1 := raw.UserAdd(ctx, "root", "secret")
	_, err2 := raw.UserGrantRole(ctx, "root", "root")
	_, err3 := raw.AuthEnable(ctx)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	good := open(t, addr, &store.Config{Username: "root", Password: "secret"})
	if err := good.Put("k", []byte("v"), nil); err != nil {
		t.Errorf("with the password: %v", err)
	}
	bad, err := etcdv3.New([]string{addr}, &store.Config{Username: "root", Password: "wrong", ConnectionTimeout: time.Second})
	if err == nil {
		defer bad.Close()
		err = bad.Put("k", []byte("v"), nil)
	}
	if err == nil || !strings.Contains(err.Error(), "authentication failed") {
		t.Errorf("with a wrong password: %v", err)
	}
}

func TestTLS(t *testing.T) {
	ofServer, ofClient := testutil.Certificates(t)
	pair := ofServer.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err = errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	server := registryserver.EtcdTLS(t, cert, key)
	s := open(t, "https://"+server.Addr(), &store.Config{TLS: &tls.Config{RootCAs: ofClient.RootCAs}})
	if err := s.Put("k", []byte("v"), nil); err != nil {
		t.Errorf("over TLS: %v", err)
	}
	if _, err := etcdv3.New([]string{"https://" + server.Addr()}, nil); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("an https endpoint without TLS: %v", err)
	}
	if _, err := etcdv3.New([]string{"http://" + server.Addr()}, &store.Config{TLS: &tls.Config{}}); err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Errorf("an http endpoint with TLS: %v", err)
	}
}
