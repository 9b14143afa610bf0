package registryurl

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/testutil"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv/etcdv3"
)

func TestMain(m *testing.M) { testutil.Main(m) }

func TestParse(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	for _, c := range []struct {
		word    string
		backend store.Backend
		addrs   []string
	}{
		{"zk://127.0.0.1:2181", store.ZK, []string{"127.0.0.1:2181"}},
		{"zk://a:1,b:2,c:3", store.ZK, []string{"a:1", "b:2", "c:3"}},
		{"etcd://a:1", etcdv3.Backend, []string{"a:1"}},
		{"consul://a:1", store.CONSUL, []string{"a:1"}},
		{"bolt:///tmp/x.db", store.BOLTDB, []string{"/tmp/x.db"}},
		{"bolt", store.BOLTDB, []string{filepath.Join(cache, "sinew", "demo.db")}},
	} {
		l, err := Parse(c.word)
		if err != nil || l.Backend != c.backend || !slices.Equal(l.Addrs, c.addrs) {
			t.Errorf("%s: %+v, %v", c.word, l, err)
		}
	}
	for word, says := range map[string]string{
		"":               "none of bolt",
		"redis://a:1":    "zk://host:port",
		"127.0.0.1:2181": "none of bolt",
		"zk://":          "write zk://host:port",
		"etcd":           "write etcd://host:port",
	} {
		if _, err := Parse(word); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q in it", word, err, says)
		}
	}
}

func TestOpen(t *testing.T) {
	l, err := Parse("bolt://" + filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Open("shop", "/sinew/test", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Register(t.Context(), registry.RegisterOption{}, registry.Provider{Network: "tcp", Addr: "a:1"}); err != nil {
		t.Fatal(err)
	}
	if apps, err := l.Applications(t.Context(), "/sinew/test"); err != nil || !slices.Equal(apps, []string{"shop"}) {
		t.Errorf("%q, %v", apps, err)
	}
}
