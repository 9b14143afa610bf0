package dubbo

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

func nodes(t *testing.T, o *Option, addrs ...string) (nodes []string) {
	t.Helper()
	for _, addr := range addrs {
		node, err := o.nodeOf(registry.Provider{Network: "jsonrpc", Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	return nodes
}

func TestWhatVanishesInAnOutageIsKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(Option{Settle: 30 * time.Second})
		r := &Registry{option: *o}
		l := listing{registry: r}
		want := func(status registry.Status, addrs ...string) {
			t.Helper()
			ps, state, err := r.Providers(t.Context())
			if err != nil || state.Status != status || len(ps) != len(addrs) {
				t.Fatalf("%v, %v, %v, want %v, %v", ps, state, err, addrs, status)
			}
			for i, p := range ps {
				if p.Addr != addrs[i] {
					t.Errorf("%v, want %v", ps, addrs)
				}
			}
		}
		l.begin()
		l.fresh(nodes(t, o, "a:1", "b:1", "c:1"))
		want(registry.Fresh, "a:1", "b:1", "c:1")
		l.fresh(nodes(t, o, "a:1", "b:1"))
		want(registry.Fresh, "a:1", "b:1") // nobody was away: believed at once

		l.stale(errors.New("refused"))
		want(registry.Stale, "a:1", "b:1")
		time.Sleep(time.Minute)
		l.begin()
		l.fresh(nil)
		want(registry.Doubted, "a:1", "b:1")
		l.fresh(nodes(t, o, "b:1", "d:1"))
		want(registry.Doubted, "a:1", "b:1", "d:1")

		begun := time.Now()
		<-l.settled()
		if took := time.Since(begun); took != 30*time.Second {
			t.Errorf("settled after %v", took)
		}
		l.believe()
		l.fresh(nodes(t, o, "b:1", "d:1"))
		want(registry.Fresh, "b:1", "d:1")
		if l.settled() != nil {
			t.Error("doubt goes on")
		}
	})
}

func TestOfTwoEntriesWithOneKeyTheYoungerCounts(t *testing.T) {
	o := options(Option{})
	r := &Registry{option: *o}
	l := listing{registry: r}
	var both []string
	for _, at := range []int64{1_700_000_002_000, 1_700_000_001_000} {
		node, err := o.nodeOf(registry.Provider{Network: "jsonrpc", Addr: "a:1", Started: time.UnixMilli(at)})
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, node)
	}
	l.begin()
	l.fresh(both)
	ps, _, err := r.Providers(t.Context())
	if err != nil || len(ps) != 1 || ps[0].Started.UnixMilli() != 1_700_000_002_000 {
		t.Errorf("%+v, %v", ps, err)
	}
}
