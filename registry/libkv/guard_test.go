package libkv

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/fakestore"
)

const limit = 3 * time.Second

// guardWorld is a guard of a fake store in a bubble.
type guardWorld struct {
	*testing.T
	server *fakestore.Server
	g      *guard
	opened []*fakestore.Store // by the guard
}

// inGuardWorld runs test with a guard that opens its stores itself. Afterwards
// whatever hangs is let go, and the guard must close all stores that it opened,
// once each.
func inGuardWorld(t *testing.T, test func(w *guardWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &guardWorld{T: t, server: new(fakestore.Server)}
		w.g = newGuard(nil, w.open, 0)
		test(w)
		w.heal()
		w.g.close()
		synctest.Wait()
		if opened, closed := w.server.Connections(); opened != closed || w.server.Calls("close") != closed {
			t.Errorf("%d stores were opened, %d closed by %d calls", opened, closed, w.server.Calls("close"))
		}
		if w.server.Pumps() != 0 || w.g.running != 0 || w.g.replacer.lingering != 0 {
			t.Errorf("%d watches, %d goroutines and %d stores are left", w.server.Pumps(), w.g.running, w.g.replacer.lingering)
		}
	})
}

func (w *guardWorld) open() (store.Store, error) {
	kv := w.server.Open()
	w.opened = append(w.opened, kv)
	return kv, nil
}

// heal ends all faults.
func (w *guardWorld) heal() {
	for _, kv := range w.opened {
		kv.Fail(nil)
	}
	w.server.Fail(fakestore.Faults{})
}

// get calls get, and checks how long it takes and what comes of it.
func (w *guardWorld) get(ctx context.Context, takes time.Duration, want error) {
	w.Helper()
	began := time.Now()
	_, err := w.g.get(ctx, "a")
	if took := time.Since(began); took != takes || !errors.Is(err, want) {
		w.Errorf("get returned %v after %v; want %v after %v", err, took, want, takes)
	}
}

func TestGuardCalls(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		ctx, g := w.Context(), w.g
		if _, err := g.get(ctx, "a/S"); !errors.Is(err, store.ErrKeyNotFound) {
			t.Errorf("get of what is missing: %v", err)
		}
		if children, err := g.list(ctx, "a/S"); err != nil || len(children) != 0 {
			t.Errorf("list of what is missing: %v, %v", children, err)
		}
		if err := g.create(ctx, "a/S", []byte("touched")); err != nil {
			t.Errorf("create: %v", err)
		}
		if err := g.create(ctx, "a/S", []byte("again")); !errors.Is(err, store.ErrKeyExists) {
			t.Errorf("create of what is there: %v", err)
		}
		if err := g.put(ctx, "a/S/x", []byte("1")); err != nil {
			t.Errorf("put: %v", err)
		}
		if children, err := g.list(ctx, "a/S"); err != nil || string(children["x"].Value) != "1" {
			t.Errorf("list: %v, %v", children, err)
		}
		x, err := g.get(ctx, "a/S/x")
		if err != nil || string(x.Value) != "1" {
			t.Errorf("get: %v, %v", x, err)
		}
		if err := g.atomicDelete(ctx, "a/S/x", x); err != nil {
			t.Errorf("atomicDelete: %v", err)
		}
		if err := g.atomicDelete(ctx, "a/S/x", x); !errors.Is(err, store.ErrKeyNotFound) {
			t.Errorf("atomicDelete of what is gone: %v", err)
		}
		if err := g.atomicDelete(ctx, "a/S/x", nil); !errors.Is(err, store.ErrPreviousNotSpecified) {
			t.Errorf("atomicDelete of nothing: %v", err)
		}
		if s := g.snapshot(); s.Faults != 0 || s.LastError != nil || s.Opened != 1 {
			t.Errorf("%+v; want no faults, one store", s)
		}
	})
}

// A write between the judgement and the delete must win, whatever the store's
// comparison is worth.
func TestGuardDeletesOnlyWhatWasJudged(t *testing.T) {
	for name, faults := range map[string]fakestore.Faults{"sound": {}, "unsound": {Unsound: true}} {
		t.Run(name, func(t *testing.T) {
			inGuardWorld(t, func(w *guardWorld) {
				w.server.Fail(faults)
				if err := w.g.put(w.Context(), "a", []byte("old")); err != nil {
					t.Fatal(err)
				}
				judged, err := w.g.get(w.Context(), "a")
				if err != nil {
					t.Fatal(err)
				}
				another := w.server.Open()
				defer another.Close()
				if err := another.Put("a", []byte("new"), nil); err != nil {
					t.Fatal(err)
				}
				if err := w.g.atomicDelete(w.Context(), "a", judged); !errors.Is(err, store.ErrKeyModified) {
					t.Errorf("atomicDelete: %v", err)
				}
				if v, _ := w.server.Value("a"); v != "new" {
					t.Errorf("what another wrote has become %q", v)
				}
			})
		})
	}
}

func TestChildrenOf(t *testing.T) {
	for name, test := range map[string]struct {
		dir  string
		keys []string
		want []string
	}{
		"names":            {"a/S", []string{"x", "tcp@:80"}, []string{"tcp@:80", "x"}},
		"absolute keys":    {"a/S", []string{"/a/S/x", "/a/S/y"}, []string{"x", "y"}},
		"full keys":        {"a/S", []string{"a/S/x", "a/S/y"}, []string{"x", "y"}},
		"the dir itself":   {"a/S", []string{"a/S", "a/S/", "/a/S", "a/S/x"}, []string{"x"}},
		"siblings":         {"a/S", []string{"a/S2", "a/S2/w", "/a/S2/w", "a/S/x"}, []string{"x"}},
		"all levels":       {"a/S", []string{"a/S/x", "a/S/x/deep", "a/S/only/deep"}, []string{"x"}},
		"doubled slashes":  {"a/S", []string{"//a/S//x"}, []string{"x"}},
		"a short dir":      {"S", []string{"S", "S/x", "S2/y"}, []string{"x"}},
		"empty, and slash": {"a/S", []string{"", "/"}, nil},
		"nothing":          {"a/S", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			pairs := []*store.KVPair{nil}
			for _, key := range test.keys {
				pairs = append(pairs, &store.KVPair{Key: key})
			}
			if got := slices.Sorted(maps.Keys(childrenOf(test.dir, pairs))); !slices.Equal(got, test.want) {
				t.Errorf("childrenOf = %q, want %q", got, test.want)
			}
		})
	}
}

func TestGuardListsEveryForm(t *testing.T) {
	for name, faults := range map[string]fakestore.Faults{
		"ZooKeeper": {},
		"etcd v2":   {Form: fakestore.AbsoluteKeys},
		"BoltDB":    {Form: fakestore.AllLevels},
		"siblings":  {Form: fakestore.Siblings},
		"no errors": {EmptyMissing: true},
	} {
		t.Run(name, func(t *testing.T) {
			inGuardWorld(t, func(w *guardWorld) {
				w.server.Fail(faults)
				for _, key := range []string{"a/S", "a/S/x", "a/S/y", "a/S/y/z", "a/S2", "a/S2/w"} {
					w.server.Set(key, "of "+key)
				}
				children, err := w.g.list(w.Context(), "a/S")
				if err != nil || len(children) != 2 || string(children["x"].Value) != "of a/S/x" || children["y"] == nil {
					t.Errorf("list = %v, %v; want x and y", children, err)
				}
				if children, err := w.g.list(w.Context(), "a/none"); err != nil || len(children) != 0 {
					t.Errorf("list of what is missing = %v, %v", children, err)
				}
			})
		})
	}
}

func TestCallEndsWithItsLimit(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.server.Fail(fakestore.Faults{Hang: true})
		w.get(w.Context(), limit, ErrHung)
		s := w.g.snapshot()
		var failed *StoreError
		if !errors.As(s.LastError, &failed) || failed.Op != "get" || failed.Key != "a" || failed.After != limit || !s.LastErrorAt.Equal(time.Now()) {
			t.Errorf("the last error is %+v at %v", s.LastError, s.LastErrorAt)
		}
		if s.Hung != 1 || s.Faults != 1 || w.g.faulty() != 1 {
			t.Errorf("%+v; want one fault that hangs", s)
		}
		w.heal()
		synctest.Wait()
		if s := w.g.snapshot(); s.Hung != 0 || s.Faults != 1 {
			t.Errorf("%+v after it returned; want none that hangs", s)
		}
		w.get(w.Context(), 0, store.ErrKeyNotFound)
	})
}

func TestSlowIsNotLate(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.server.Fail(fakestore.Faults{Latency: limit - 1})
		for range 5 {
			w.get(w.Context(), limit-1, store.ErrKeyNotFound)
		}
		if s := w.g.snapshot(); s.Faults != 0 || s.Replaced != 0 {
			t.Errorf("%+v; want no faults", s)
		}
	})
}

// A list takes ZooKeeper a round trip for each child.
func TestLongListMayTakeLonger(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		for _, name := range []string{"1", "2", "3"} {
			w.server.Set("a/"+name, "v")
		}
		if _, err := w.g.list(w.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		w.server.Fail(fakestore.Faults{Latency: limit + 3*limitPerChild - 1})
		if _, err := w.g.list(w.Context(), "a"); err != nil {
			t.Errorf("list: %v", err)
		}
		w.get(w.Context(), limit, ErrHung)
	})
}

// Two who list at once, as the reader and the sweeper of a process do, wait for one
// another: the other's list, which may take so long, is no fault of the store.
func TestListsAtOnceWaitForTheirTurn(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.server.Fail(fakestore.Faults{Latency: 4 * limit})
		began := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := w.g.list(w.Context(), "a"); err != nil {
					t.Errorf("list: %v", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != 2*4*limit {
			t.Errorf("two lists of %v took %v", 4*limit, took)
		}
		if s := w.g.snapshot(); s.Faults != 0 {
			t.Errorf("%+v; want no faults", s)
		}
	})
}

// A list that takes longer than lists did is late at first. Who would begin another
// while it is under way, or give up each time after the same limit, would never
// see one where many list at once.
func TestListThatIsLateAtFirstComes(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.server.Set("a/1", "v")
		w.g.expected = 0 // the last was short
		w.server.Fail(fakestore.Faults{Latency: 20 * time.Second})
		began := time.Now()
		for i, test := range []struct {
			takes time.Duration
			err   error
		}{
			{limit, ErrHung},                    // this one comes after 20 s
			{2 * limit, ErrHung},                // further ones wait for it, no longer than for a list
			{11*time.Second + 4*limit, ErrHung}, // it came
			{8*time.Second + 20*time.Second, nil},
		} {
			began := time.Now()
			_, err := w.g.list(w.Context(), "a")
			if took := time.Since(began); took != test.takes || !errors.Is(err, test.err) {
				t.Errorf("list %d: %v after %v, want %v after %v", i, err, took, test.err, test.takes)
			}
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("three lists of 20 s one after the other took %v", took)
		}
		if n := w.server.Calls("list"); n != 3 {
			t.Errorf("the store was asked %d times", n)
		}
	})
}

func TestCallEndsWithItsContext(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.server.Fail(fakestore.Faults{Hang: true})
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.get(ctx, time.Second, context.DeadlineExceeded)
		w.get(ctx, 0, context.DeadlineExceeded)
		if s := w.g.snapshot(); s.Faults != 0 || s.Calls != 1 {
			t.Errorf("%+v when a context ended; that is no fault, and a call with an ended one none at all", s)
		}
		time.Sleep(limit - time.Second)
		synctest.Wait()
		if s := w.g.snapshot(); s.Faults != 1 || s.Hung != 1 {
			t.Errorf("%+v at its limit; want a fault that hangs, though nobody waits", s)
		}
	})
}

func TestFailureIsAFault(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.server.Fail(fakestore.Faults{Down: true})
		w.get(w.Context(), 0, fakestore.ErrDown)
		w.server.Fail(fakestore.Faults{Panic: true})
		_, err := w.g.get(w.Context(), "a")
		var failed *StoreError
		if !errors.As(err, &failed) || failed.Op != "get" {
			t.Errorf("a store that panics: %v", err)
		}
		if _, err := w.g.list(w.Context(), "a"); err == nil {
			t.Error("a store that panics lists")
		}
		if n := w.g.faulty(); n != 3 {
			t.Errorf("%d faults, want 3", n)
		}
	})
}

// A store that belongs to the user is neither replaced nor closed, and no more
// than eight calls hang at it.
func TestGivenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(fakestore.Server)
		w := &guardWorld{T: t, server: server, g: newGuard(server.Open(), nil, 0)}
		server.Fail(fakestore.Faults{Hang: true})
		for range maxHung {
			w.get(t.Context(), limit, ErrHung)
		}
		w.get(t.Context(), 0, ErrHung)
		if n := server.Hanging(); n != maxHung {
			t.Errorf("%d calls hang, want %d", n, maxHung)
		}
		began := time.Now()
		w.g.close()
		if took := time.Since(began); took != limit {
			t.Errorf("close waited %v for what hangs, want %v", took, limit)
		}
		w.get(t.Context(), 0, registry.ErrClosed)
		w.heal()
		synctest.Wait()
		if s := w.g.snapshot(); s.Hung != 0 || s.Replaced != 0 || server.Calls("close") != 0 {
			t.Errorf("%+v, closed %d times; want it left alone", s, server.Calls("close"))
		}
	})
}

func TestManyCallsAtOnceWaitForTheirTurn(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.get(w.Context(), 0, store.ErrKeyNotFound)
		burst := func(n int) time.Duration {
			var calls sync.WaitGroup
			began := time.Now()
			for range n {
				calls.Go(func() { _, _ = w.g.get(w.Context(), "a") })
			}
			calls.Wait()
			return time.Since(began)
		}
		w.server.Fail(fakestore.Faults{Latency: time.Second})
		if took := burst(3 * maxCalls); took != 3*time.Second {
			t.Errorf("three times as many calls as may be under way took %v, want 3s", took)
		}
		if n := w.g.faulty(); n != 0 {
			t.Errorf("%d faults, want none", n)
		}
		w.server.Fail(fakestore.Faults{Hang: true})
		if took := burst(10 * maxCalls); took > 2*limit {
			t.Errorf("calls took up to %v at a store that hangs", took)
		}
		if n := w.server.Hanging(); n > 2*maxCalls {
			t.Errorf("%d calls hang at two stores, want at most %d", n, 2*maxCalls)
		}
	})
}

func TestLateStoreIsReplaced(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.get(w.Context(), 0, store.ErrKeyNotFound)
		first := w.opened[0]
		first.Fail(&fakestore.Faults{Hang: true})
		w.get(w.Context(), limit, ErrHung)
		w.get(w.Context(), limit, ErrHung)
		first.Fail(nil)
		synctest.Wait()
		w.get(w.Context(), 0, store.ErrKeyNotFound)
		first.Fail(&fakestore.Faults{Hang: true})
		for range lateForReplacement {
			if n := len(w.opened); n != 1 {
				t.Fatalf("%d stores were opened before three calls in a row were late", n)
			}
			w.get(w.Context(), limit, ErrHung)
		}
		w.get(w.Context(), 0, store.ErrKeyNotFound)
		if s := w.g.snapshot(); len(w.opened) != 2 || s.Replaced != 1 || s.Opened != 2 || s.Hung != lateForReplacement {
			t.Errorf("%+v; want the store replaced", s)
		}
		if n := w.server.Calls("close"); n != 0 {
			t.Errorf("the old store was closed %d times while calls hang at it", n)
		}
		first.Fail(nil)
		synctest.Wait()
		if n := w.server.Calls("close"); n != 1 {
			t.Errorf("the old store was closed %d times by its last returning call, want once", n)
		}
	})
}

// However long all stores hang, replacements are rare and get rarer, and the
// goroutines that hang are few.
func TestReplacementsAreRare(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.server.Fail(fakestore.Faults{Hang: true})
		began := time.Now()
		var last time.Time
		for opened := 0; time.Since(began) < time.Hour; time.Sleep(100 * time.Millisecond) {
			_, _ = w.g.get(w.Context(), "a")
			if len(w.opened) == opened {
				continue
			}
			opened = len(w.opened)
			if gap := time.Since(last); opened > 2 && gap < replacementPause {
				t.Errorf("replaced again after %v", gap)
			}
			last = time.Now()
		}
		if n := w.g.snapshot().Replaced; n < 10 || n > 25 {
			t.Errorf("%d replacements in an hour", n)
		}
		if n := w.server.Hanging(); n > 25*maxHung {
			t.Errorf("%d calls hang after an hour", n)
		}
		w.heal()
		synctest.Wait()
		if s := w.g.snapshot(); s.Hung != 0 {
			t.Errorf("%+v when all have returned", s)
		}
		w.get(w.Context(), 0, store.ErrKeyNotFound)
		if opened, closed := w.server.Connections(); closed != opened-1 {
			t.Errorf("%d of %d stores closed, want all but the one in use", closed, opened)
		}
	})
}

// A client that has looked its servers up once fails for ever when they moved.
func TestUselessStoreIsReplaced(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.get(w.Context(), 0, store.ErrKeyNotFound)
		w.opened[0].Fail(&fakestore.Faults{Down: true})
		began := time.Now()
		for len(w.opened) == 1 && time.Since(began) < time.Hour {
			_, _ = w.g.get(w.Context(), "a")
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took < uselessAfter || took > uselessAfter+2*time.Second {
			t.Errorf("replaced after %v, want about %v", took, uselessAfter)
		}
		w.get(w.Context(), 0, store.ErrKeyNotFound)
		w.server.Fail(fakestore.Faults{Down: true})
		for began := time.Now(); time.Since(began) < 5*time.Hour; time.Sleep(time.Second) {
			_, _ = w.g.get(w.Context(), "a")
		}
		if n := w.g.snapshot().Replaced; n < 20 || n > 40 {
			t.Errorf("%d replacements in five hours of outage", n)
		}
	})
}

func TestOpen(t *testing.T) {
	refused := errors.New("no such file")
	for name, test := range map[string]struct {
		open func(*fakestore.Server) (store.Store, error)
		want error
	}{
		"fails":  {func(*fakestore.Server) (store.Store, error) { return nil, refused }, refused},
		"panics": {func(*fakestore.Server) (store.Store, error) { panic(refused) }, nil},
		"lies":   {func(*fakestore.Server) (store.Store, error) { return nil, nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, healed := new(fakestore.Server), false
				g := newGuard(nil, func() (store.Store, error) {
					if healed {
						return server.Open(), nil
					}
					return test.open(server)
				}, 0)
				defer g.close()
				for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
					_, err := g.get(t.Context(), "a")
					var failed *StoreError
					if !errors.As(err, &failed) || failed.Op != "open" || test.want != nil && !errors.Is(err, test.want) {
						t.Fatalf("get: %v", err)
					}
				}
				if s := g.snapshot(); s.Opened > 35 || s.Opened < 10 || s.Faults < s.Opened {
					t.Errorf("%+v after a minute of calls; want a backoff", s)
				}
				healed = true
				time.Sleep(5 * time.Second)
				if _, err := g.get(t.Context(), "a"); !errors.Is(err, store.ErrKeyNotFound) {
					t.Errorf("get when a store can be opened: %v", err)
				}
			})
		})
	}
	if _, err := newGuard(nil, nil, 0).get(t.Context(), "a"); err == nil {
		t.Error("a guard of nothing gets something")
	}
}

// Opening may hang, too: BoltDB waits for another process's lock.
func TestOpenHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, release := new(fakestore.Server), make(chan struct{})
		w := &guardWorld{T: t, server: server}
		w.g = newGuard(nil, func() (store.Store, error) {
			<-release
			return server.Open(), nil
		}, 0)
		w.get(t.Context(), limit, ErrHung)
		w.get(t.Context(), 0, ErrHung) // it is known by now
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.get(ctx, 0, context.Canceled)
		for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(time.Second) {
			_, _ = w.g.get(t.Context(), "a")
		}
		if n := w.g.snapshot().Opened; n != maxHung {
			t.Errorf("%d attempts to open in an hour of hanging ones, want %d", n, maxHung)
		}
		close(release)
		synctest.Wait()
		if opened, closed := server.Connections(); opened != maxHung || closed != maxHung-1 {
			t.Errorf("%d stores came late, %d were closed; want all but one", opened, closed)
		}
		w.get(t.Context(), 0, store.ErrKeyNotFound)
		w.g.close()
		if opened, closed := server.Connections(); opened != closed {
			t.Errorf("%d opened, %d closed", opened, closed)
		}
	})
}

func TestCloseOfTheStoreFails(t *testing.T) {
	for name, faults := range map[string]fakestore.Faults{"hangs": {Hang: true}, "panics": {PanicClose: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := new(fakestore.Server)
				w := &guardWorld{T: t, server: server}
				w.g = newGuard(nil, w.open, 0)
				w.get(t.Context(), 0, store.ErrKeyNotFound)
				server.Fail(faults)
				began, want := time.Now(), time.Duration(0)
				if faults.Hang {
					want = limit
				}
				w.g.close()
				w.g.close()
				if took := time.Since(began); took != 2*want {
					t.Errorf("closing twice took %v, want %v", took, 2*want)
				}
				w.heal()
				synctest.Wait()
				if n := server.Calls("close"); n != 1 || w.g.running != 0 {
					t.Errorf("closed %d times, want once; %d goroutines are left", n, w.g.running)
				}
			})
		})
	}
}

func TestCloseWaitsForWhatReturns(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		w.get(w.Context(), 0, store.ErrKeyNotFound)
		w.server.Fail(fakestore.Faults{Latency: 2 * time.Second})
		began := time.Now()
		var put sync.WaitGroup
		put.Go(func() {
			if err := w.g.put(w.Context(), "a", []byte("last")); err != nil {
				t.Errorf("put: %v", err)
			}
		})
		synctest.Wait()
		w.g.close()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("close took %v, want the 2s of the call under way", took)
		}
		put.Wait()
		if v, _ := w.server.Value("a"); v != "last" {
			t.Errorf("the last put has become %q", v)
		}
	})
}

// watching starts a watch, and returns what ends it and its result.
func (w *guardWorld) watching(hint func()) (cancel context.CancelFunc, result <-chan error) {
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.g.watch(ctx, "a", hint) }()
	synctest.Wait()
	return cancel, ended
}

func TestGuardWatch(t *testing.T) {
	for name, test := range map[string]struct {
		faults fakestore.Faults
		end    func(w *guardWorld, cancel context.CancelFunc)
		want   error
	}{
		"its context ends":     {fakestore.Faults{}, func(_ *guardWorld, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"the store closes it":  {fakestore.Faults{}, func(w *guardWorld, _ context.CancelFunc) { w.server.DropWatches() }, errWatchClosed},
		"the key goes":         {fakestore.Faults{}, func(w *guardWorld, _ context.CancelFunc) { w.server.Remove("a") }, errWatchClosed},
		"the guard is closed":  {fakestore.Faults{}, func(w *guardWorld, _ context.CancelFunc) { w.g.close() }, registry.ErrClosed},
		"a store that is deaf": {fakestore.Faults{Deaf: true}, func(_ *guardWorld, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"the store hangs, and the context ends": {fakestore.Faults{}, func(w *guardWorld, cancel context.CancelFunc) {
			w.server.Fail(fakestore.Faults{Hang: true})
			cancel()
		}, context.Canceled},
		"the store is replaced": {fakestore.Faults{}, func(w *guardWorld, _ context.CancelFunc) {
			w.server.Fail(fakestore.Faults{Hang: true})
			for range lateForReplacement {
				w.get(w.Context(), limit, ErrHung)
			}
			w.heal()
		}, errReplaced},
	} {
		t.Run(name, func(t *testing.T) {
			inGuardWorld(t, func(w *guardWorld) {
				w.server.Set("a", "0")
				w.server.Fail(test.faults)
				hints := 0
				cancel, ended := w.watching(func() { hints++ })
				defer cancel()
				for range 3 {
					w.server.Set("a", "1")
				}
				synctest.Wait()
				if want := 4; hints != want && !test.faults.Deaf {
					t.Errorf("%d hints, want %d", hints, want)
				}
				test.end(w, cancel)
				synctest.Wait()
				select {
				case err := <-ended:
					if !errors.Is(err, test.want) {
						t.Errorf("the watch ended with %v, want %v", err, test.want)
					}
				default:
					t.Fatal("the watch has not ended")
				}
				if n := w.server.Pumps(); n != 0 {
					t.Errorf("%d watches of the store are left", n)
				}
			})
		})
	}
}

func TestGuardWatchIsRefused(t *testing.T) {
	inGuardWorld(t, func(w *guardWorld) {
		hint := func() { t.Error("a hint without a watch") }
		if err := w.g.watch(w.Context(), "a", hint); !errors.Is(err, store.ErrKeyNotFound) {
			t.Errorf("on a missing key: %v", err)
		}
		w.server.Fail(fakestore.Faults{NoWatch: true})
		if err := w.g.watch(w.Context(), "a", hint); !errors.Is(err, store.ErrCallNotSupported) {
			t.Errorf("on a store without: %v", err)
		}
		if n := w.g.faulty(); n != 0 {
			t.Errorf("%d faults, want none: these are answers", n)
		}
	})
}

// A Watch that returns late must be stopped and read, or it holds goroutines for
// ever.
func TestLateWatchIsStopped(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"after the limit": time.Hour, "after its context": time.Second} {
		t.Run(name, func(t *testing.T) {
			inGuardWorld(t, func(w *guardWorld) {
				w.server.Set("a", "0")
				w.server.Fail(fakestore.Faults{Hang: true})
				ctx, cancel := context.WithTimeout(w.Context(), timeout)
				defer cancel()
				began := time.Now()
				err := w.g.watch(ctx, "a", func() { t.Error("a hint from a watch that came late") })
				if took := time.Since(began); err == nil || took != min(timeout, limit) {
					t.Errorf("watch returned %v after %v", err, took)
				}
				time.Sleep(time.Minute)
				w.heal()
				synctest.Wait()
				if w.server.Calls("watch") != 1 || w.server.Pumps() != 0 {
					t.Errorf("%d watches, %d left", w.server.Calls("watch"), w.server.Pumps())
				}
			})
		})
	}
}

// slowStop is a store whose watches take their time to notice that they were
// stopped, as Consul's do.
type slowStop struct {
	store.Store
	takes time.Duration
}

func (s slowStop) Watch(_ string, stop <-chan struct{}) (<-chan *store.KVPair, error) {
	events := make(chan *store.KVPair)
	go func() {
		<-stop
		time.Sleep(s.takes)
		close(events)
	}()
	return events, nil
}

func TestCloseDoesNotWaitForSlowWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(fakestore.Server)
		w := &guardWorld{T: t, server: server}
		w.g = newGuard(nil, func() (store.Store, error) { return slowStop{server.Open(), 15 * time.Second}, nil }, 0)
		cancel, ended := w.watching(func() {})
		cancel()
		<-ended
		began := time.Now()
		w.g.close()
		if took := time.Since(began); took > drainWait {
			t.Errorf("close took %v", took)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if opened, closed := server.Connections(); opened != 1 || closed != 1 {
			t.Errorf("%d opened, %d closed when the watch had ended", opened, closed)
		}
	})
}
