package libkv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/fakestore"
	"github.com/sinew-rpc/sinew/registry/registrytest"
)

// parent is where the providers of registrytest.AppKey stand.
const parent = "sinew/service/" + registrytest.AppKey

// ttl is that of the tests' providers: refreshed each 5 s.
const ttl = 15 * time.Second

// world is one server of a store in a bubble of its own time.
type world struct {
	*testing.T
	server *fakestore.Server
}

// inBubble runs test with faults from the start.
func inBubble(t *testing.T, faults fakestore.Faults, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, server: new(fakestore.Server)}
		w.server.Fail(faults)
		test(w)
		w.server.Fail(fakestore.Faults{}) // lets go of what hangs
	})
}

// open returns the registry of another process, polling each 10 s.
func (w *world) open(change func(*libkv.Option)) *libkv.KVRegistry {
	w.Helper()
	r := open(w, w.server, func(o *libkv.Option) {
		o.UpdateInterval = 10 * time.Second
		if change != nil {
			change(o)
		}
	})
	w.Cleanup(func() { _ = r.Close() })
	return r
}

func at(i int) registry.Provider {
	return registry.Provider{Network: "tcp", Addr: fmt.Sprintf("10.0.0.%d:80", i), Started: time.Now()}
}

// serve registers provider i in a process of its own, which crash ends.
func (w *world) serve(i int) (r *libkv.KVRegistry, p registry.Provider) {
	w.Helper()
	r, p = w.open(nil), at(i)
	if err := r.Register(w.Context(), registry.RegisterOption{TTL: ttl}, p); err != nil {
		w.Fatal(err)
	}
	return r, p
}

// crash ends a process without a word.
func crash(r *libkv.KVRegistry) { _ = r.Close() }

// listed returns how many providers r lists, and how it stands.
func (w *world) listed(r *libkv.KVRegistry) (int, registry.State) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	ps, state, err := r.Providers(ctx)
	if err != nil {
		w.Fatal(err)
	}
	return len(ps), state
}

// want checks the list after d.
func (w *world) want(r *libkv.KVRegistry, d time.Duration, n int, status registry.Status) {
	w.Helper()
	time.Sleep(d)
	synctest.Wait()
	if got, state := w.listed(r); got != n || state.Status != status {
		w.Fatalf("%d providers, %v; want %d, %v", got, state, n, status)
	}
}

// until waits until r lists n, and returns how long that took.
func (w *world) until(r *libkv.KVRegistry, n int, atMost time.Duration) time.Duration {
	w.Helper()
	began := time.Now()
	for {
		synctest.Wait()
		got, state := w.listed(r)
		if got == n {
			return time.Since(began)
		}
		if time.Since(began) > atMost {
			w.Fatalf("%d providers after %v, %v; want %d", got, atMost, state, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// refresh has consumer asked for an early list each 100 ms, for as long as span.
func refresh(consumer *libkv.KVRegistry, span time.Duration) {
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		consumer.Refresh()
	}
}

func TestChangesAreSeenAtOnce(t *testing.T) {
	inBubble(t, fakestore.Faults{EmptyFirst: 2 * time.Millisecond}, func(w *world) {
		consumer := w.open(nil)
		w.want(consumer, 0, 0, registry.Fresh)
		r, p := w.serve(1)
		if took := w.until(consumer, 1, time.Second); took > 400*time.Millisecond {
			w.Errorf("a provider is seen after %v", took)
		}
		if err := r.Unregister(w.Context(), registry.RegisterOption{}, p); err != nil {
			w.Fatal(err)
		}
		if took := w.until(consumer, 0, time.Second); took > 400*time.Millisecond {
			w.Errorf("a provider that left is gone after %v", took)
		}
	})
}

// Consumers are told who left of its own accord, and so is one that is slow to
// look; whoever was lost, or swept after its death, is not among them.
func TestWhoLeftIsNamed(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		watcher, err := consumer.Watch()
		if err != nil {
			w.Fatal(err)
		}
		left := func() []string {
			s, err := watcher.Next(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			return s.Left
		}
		w.serve(0)
		r, p := w.serve(1)
		dead, _ := w.serve(2)
		w.until(consumer, 3, time.Second)
		crash(dead)
		w.until(consumer, 2, 3*ttl)
		if got := left(); len(got) != 0 {
			w.Errorf("a provider that died is said to have left: %q", got)
		}
		if err := r.Unregister(w.Context(), registry.RegisterOption{}, p); err != nil {
			w.Fatal(err)
		}
		w.until(consumer, 1, time.Second)
		time.Sleep(time.Second)
		if got := left(); !slices.Equal(got, []string{"tcp@10.0.0.1:80"}) {
			w.Errorf("left: %q, want the one", got)
		}
		w.serve(1)
		w.until(consumer, 2, time.Second)
		if got := left(); len(got) != 0 {
			w.Errorf("a provider that is back is said to have left: %q", got)
		}
	})
}

// Lesson 22 and 1: an outage of the registry is none of the service, however
// long it lasts, and afterwards all is as before.
func TestOutageChangesNothing(t *testing.T) {
	for name, faults := range map[string]fakestore.Faults{
		"refused": {Down: true},
		"hangs":   {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakestore.Faults{}, func(w *world) {
				consumer := w.open(nil)
				a, p := w.serve(1)
				w.serve(2)
				w.serve(3)
				w.until(consumer, 3, time.Second)
				w.server.Fail(faults)
				began := time.Now()
				w.want(consumer, time.Hour, 3, registry.Stale)
				if _, state := w.listed(consumer); began.Sub(state.Since) > 10*time.Second || state.Cause == nil {
					w.Errorf("state %v; want since about %v, with the cause", state, began)
				}
				if ok, err := a.Registered(p); ok || err == nil {
					w.Errorf("registered %v, %v, an hour into the outage", ok, err)
				}
				w.server.Fail(fakestore.Faults{})
				recovered := time.Now()
				if faults.Hang {
					time.Sleep(30 * time.Second) // the hung store is replaced, or lets go
				}
				w.want(consumer, 10*time.Second, 3, registry.Fresh)
				if _, state := w.listed(consumer); state.Since.Before(recovered) {
					w.Errorf("fresh since %v, before the end of the outage at %v", state.Since, recovered)
				}
				w.want(consumer, 2*ttl, 3, registry.Fresh)
				if ok, err := a.Registered(p); !ok || err != nil {
					w.Errorf("registered %v, %v, after the outage", ok, err)
				}
			})
		})
	}
}

// Lessons 3 and 4: what was lost in the registry comes back by itself, and until
// then nobody forgets it.
func TestWipedRegistryComesBack(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		r, _ := w.serve(1)
		w.serve(2)
		w.until(consumer, 2, time.Second)
		w.server.Remove(parent)
		w.want(consumer, time.Second, 2, registry.Doubted)
		w.want(consumer, ttl/2, 2, registry.Fresh)
		if s := r.Stats().Writer; s.Lost != 1 || s.Registered != 1 {
			w.Errorf("stats %+v", s)
		}
		w.want(consumer, 3*ttl, 2, registry.Fresh)
	})
}

func TestCrashedProviderVanishes(t *testing.T) {
	for name, faults := range map[string]fakestore.Faults{"watches": {}, "polls alone": {NoWatch: true, Form: fakestore.AllLevels}, "deaf watches": {Deaf: true}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, faults, func(w *world) {
				consumer := w.open(nil)
				w.serve(1)
				w.serve(2)
				last, _ := w.serve(3)
				w.until(consumer, 3, 20*time.Second)
				time.Sleep(time.Minute)
				crash(last)
				if took := w.until(consumer, 2, 3*ttl); took > 5*ttl/2 || took < ttl-13*time.Second/2 {
					w.Errorf("a crashed provider is gone after %v; its TTL is %v", took, ttl)
				}
				time.Sleep(ttl)
				if _, there := w.server.Value(parent + "/tcp@10.0.0.3:80"); there {
					w.Error("its entry has not been swept")
				}
			})
		})
	}
}

// With nobody left to sweep, consumers see for themselves.
func TestLastProviderCrashes(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		r, _ := w.serve(1)
		w.until(consumer, 1, time.Second)
		time.Sleep(time.Minute)
		crash(r)
		if took := w.until(consumer, 0, 3*ttl); took > 5*ttl/2 || took < ttl-13*time.Second/2 {
			w.Errorf("the last provider is gone after %v; its TTL is %v", took, ttl)
		}
		w.want(consumer, 0, 0, registry.Fresh)
	})
}

// Over half of the list vanishes: kept for two thirds of a TTL.
func TestMassDepartureIsDoubted(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		var names []string
		for i := range 5 {
			r, p := w.serve(i)
			crash(r) // nobody brings the entries back
			names = append(names, parent+"/tcp@"+p.Addr)
		}
		w.until(consumer, 5, time.Second)
		w.server.Remove(names[0])
		w.server.Remove(names[1])
		w.server.Set(parent, "touched")
		w.want(consumer, time.Second, 3, registry.Fresh) // two of five may go
		w.server.Remove(names[2])
		w.server.Set(parent, "again")
		w.want(consumer, time.Second, 3, registry.Doubted)
		w.want(consumer, 2*ttl/3+time.Second, 2, registry.Fresh)
	})
}

func TestScalingToZeroIsBelieved(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		for i := range 3 {
			r, p := w.serve(i)
			defer func() {
				if err := r.Unregister(w.Context(), registry.RegisterOption{}, p); err != nil {
					w.Error(err)
				}
				w.until(consumer, i, time.Second)
			}()
		}
		w.until(consumer, 3, time.Second)
	})
}

// Lesson 10, 11 and REGISTRY's lost last event: polls find what watches lose, and
// a silent watch is armed again.
func TestSilentWatchIsNoticed(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		w.serve(1)
		w.until(consumer, 1, time.Second)
		time.Sleep(2 * time.Second)
		w.server.ForgetWatches()
		w.serve(2)
		if took := w.until(consumer, 2, time.Minute); took > 13*time.Second {
			w.Errorf("a change that the watch lost is seen after %v, with polls each 10 s", took)
		}
		time.Sleep(5 * time.Second)
		if s := consumer.Stats().Reader; s.Silent != 1 {
			w.Errorf("%d silent watches noticed, want 1", s.Silent)
		}
		w.serve(3)
		if took := w.until(consumer, 3, time.Minute); took > 400*time.Millisecond {
			w.Errorf("after the watch was armed again a change is seen after %v", took)
		}
	})
}

// Lesson 8 and 15: a closed watch is a reason to look, not to spin or to forget.
func TestClosedWatchIsResync(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		w.serve(1)
		w.until(consumer, 1, time.Second)
		for range 20 {
			w.server.DropWatches()
			w.want(consumer, time.Second, 1, registry.Fresh)
		}
		if n := w.server.Calls("watch"); n > 25 {
			w.Errorf("%d watches were armed for 20 that closed", n)
		}
	})
}

// Lesson 15: an application that does not exist costs next to nothing.
func TestUnknownApplicationDoesNotSpin(t *testing.T) {
	inBubble(t, fakestore.Faults{Deaf: true}, func(w *world) {
		consumer := w.open(nil)
		w.want(consumer, 0, 0, registry.Fresh)
		time.Sleep(10 * time.Minute)
		reads := w.server.Calls("get") + w.server.Calls("list") + w.server.Calls("watch")
		if reads > 250 || w.server.Calls("put") > 1 {
			w.Errorf("%d reads and %d writes in ten minutes of nothing", reads, w.server.Calls("put"))
		}
	})
}

// What costs what at rest: a consumer writes nothing, a provider one key an
// interval.
func TestCostAtRest(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		provider, _ := w.serve(1)
		consumer := w.open(nil)
		w.until(consumer, 1, time.Second)
		for range 200 {
			watcher, err := consumer.Watch()
			if err != nil {
				w.Fatal(err)
			}
			defer watcher.Close()
		}
		time.Sleep(time.Minute)
		puts, gets, lists := w.server.Calls("put"), w.server.Calls("get"), w.server.Calls("list")
		const span = 10 * time.Minute
		time.Sleep(span)
		puts, gets, lists = w.server.Calls("put")-puts, w.server.Calls("get")-gets, w.server.Calls("list")-lists
		if want := int(span / (ttl / 3)); puts < want*8/10 || puts > want*12/10 {
			w.Errorf("%d writes in %v, want about %d: one refresh each %v", puts, span, want, ttl/3)
		}
		// A poll and the read before its list, each some 10 s; a look before each
		// refresh; the second look after a list.
		if gets > 4*int(span/(8*time.Second))+int(span/(ttl/4)) {
			w.Errorf("%d reads in %v", gets, span)
		}
		if lists > 2*int(span/(8*time.Second))+int(span/(ttl/4)) {
			w.Errorf("%d lists in %v", lists, span)
		}
		if s := provider.Stats().Writer; s.Touches != 1 {
			w.Errorf("%d touches at rest, want the first alone", s.Touches)
		}
	})
}

// Garbage in an entry changes nothing for who calls, and its owner mends it.
func TestGarbageInAnEntry(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		_, p := w.serve(1)
		w.serve(2)
		w.until(consumer, 2, time.Second)
		for _, garbage := range []string{"\x00\xff%%%", "stamp=x", "", strings.Repeat("z", 100_000)} {
			w.server.Set(parent+"/tcp@"+p.Addr, garbage)
			w.server.Set(parent, garbage)
			for range 60 {
				w.want(consumer, 100*time.Millisecond, 2, registry.Fresh)
			}
			w.want(consumer, ttl, 2, registry.Fresh)
			if value, _ := w.server.Value(parent + "/tcp@" + p.Addr); value == garbage {
				w.Errorf("%.20q still stands where the provider registered", garbage)
			}
		}
	})
}

// The predecessor's last words do not remove its successor.
func TestRestartOnTheSameAddress(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(nil)
		old, p := w.serve(1)
		w.until(consumer, 1, time.Second)
		time.Sleep(time.Second)
		next := w.open(nil)
		q := p
		q.Started = time.Now()
		if err := next.Register(w.Context(), registry.RegisterOption{TTL: ttl}, q); err != nil {
			w.Fatal(err)
		}
		if err := old.Unregister(w.Context(), registry.RegisterOption{}, p); err != nil {
			w.Fatal(err)
		}
		crash(old)
		for range 60 {
			w.want(consumer, time.Second, 1, registry.Fresh)
		}
		if ok, err := next.Registered(q); !ok {
			w.Errorf("the successor is not registered: %v", err)
		}
	})
}

// Register without a registry: it says so, goes on, and Unregister ends that.
func TestRegisterDuringAnOutage(t *testing.T) {
	inBubble(t, fakestore.Faults{Down: true}, func(w *world) {
		r, p := w.open(nil), at(1)
		var failed *libkv.StoreError
		if err := r.Register(w.Context(), registry.RegisterOption{}, p); !errors.As(err, &failed) || !errors.Is(err, fakestore.ErrDown) {
			w.Fatalf("Register says %v, want a *StoreError", err)
		}
		consumer := w.open(nil)
		ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
		defer cancel()
		if _, state, err := consumer.Providers(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(state.Cause, fakestore.ErrDown) {
			w.Errorf("before the first list: %v, %v", state, err)
		}
		w.server.Fail(fakestore.Faults{})
		w.until(consumer, 1, 12*time.Second)
		if ok, err := r.Registered(p); !ok {
			w.Errorf("not registered: %v", err)
		}
		w.server.Fail(fakestore.Faults{Down: true})
		if err := r.Unregister(w.Context(), registry.RegisterOption{}, p); !errors.As(err, &failed) {
			w.Errorf("Unregister says %v, want a *StoreError", err)
		}
		w.server.Fail(fakestore.Faults{})
		if took := w.until(consumer, 0, 3*ttl); took < ttl-6*time.Second {
			w.Errorf("gone after %v", took)
		}
	})
}

// A predecessor that drains says nothing of its successor on the same address, and
// removes nothing of it.
func TestDrainLeavesTheSuccessor(t *testing.T) {
	o := registry.RegisterOption{TTL: ttl}
	for name, shared := range map[string]bool{"two processes": false, "one process": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakestore.Faults{}, func(w *world) {
				old, p := w.serve(1)
				w.serve(2)
				w.serve(3)
				consumer := w.open(nil)
				w.until(consumer, 3, time.Second)
				time.Sleep(20 * time.Second)
				next := old
				if !shared {
					next = w.open(nil)
				}
				q := at(1)
				if err := next.Register(w.Context(), o, q); err != nil {
					w.Fatal(err)
				}
				time.Sleep(200 * time.Millisecond)
				p.Draining = true
				if err := old.Register(w.Context(), o, p); !errors.Is(err, registry.ErrSuperseded) {
					w.Errorf("the predecessor drains: %v, want ErrSuperseded", err)
				}
				time.Sleep(time.Second)
				if err := old.Unregister(w.Context(), o, p); err != nil {
					w.Fatal(err)
				}
				for range 300 {
					w.want(consumer, 100*time.Millisecond, 3, registry.Fresh)
					ps, _, _ := consumer.Providers(w.Context())
					if ps[0].Draining || !ps[0].Started.Equal(q.Started) {
						w.Fatalf("listed is %+v, not the successor", ps[0])
					}
				}
				if ok, err := next.Registered(q); !ok {
					w.Errorf("the successor is not registered: %v", err)
				}
			})
		})
	}
}

// Two that live with one key do not fight for it: it is the later one's, whatever
// their clocks say of when they started, and the other's again after that one.
func TestTwoThatLiveWithOneKey(t *testing.T) {
	for name, end := range map[string]func(w *world, r *libkv.KVRegistry, p registry.Provider){
		"leaves": func(w *world, r *libkv.KVRegistry, p registry.Provider) {
			if err := r.Unregister(w.Context(), registry.RegisterOption{}, p); err != nil {
				w.Fatal(err)
			}
		},
		"crashes": func(_ *world, r *libkv.KVRegistry, _ registry.Provider) { crash(r) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakestore.Faults{}, func(w *world) {
				first, p := w.serve(1)
				time.Sleep(20 * time.Second)
				second, q := w.open(nil), at(1)
				q.Started = p.Started.Add(-time.Hour) // its clock is behind
				if err := second.Register(w.Context(), registry.RegisterOption{TTL: ttl}, q); err != nil {
					w.Fatal(err)
				}
				consumer := w.open(nil)
				w.until(consumer, 1, time.Second)
				time.Sleep(10 * time.Second)
				before := consumer.Stats().Reader.Hints
				time.Sleep(10 * time.Minute)
				if n := consumer.Stats().Reader.Hints - before; n != 0 {
					w.Errorf("consumers were told %d times of a change", n)
				}
				if ok, err := second.Registered(q); !ok {
					w.Errorf("the second is not registered: %v", err)
				}
				if ok, err := first.Registered(p); ok || !errors.Is(err, registry.ErrSuperseded) {
					w.Errorf("the first is registered %v, %v; want ErrSuperseded", ok, err)
				}
				if a, b := first.Stats().Writer, second.Stats().Writer; a.Lost != 1 || a.Superseded != 1 || b.Lost != 0 {
					w.Errorf("stats %+v and %+v", a, b)
				}
				end(w, second, q)
				began := time.Now()
				for ok := false; !ok; ok, _ = first.Registered(p) {
					if time.Since(began) > 2*ttl {
						w.Fatal("the first is not registered after the second has gone")
					}
					time.Sleep(100 * time.Millisecond)
				}
				w.want(consumer, time.Second, 1, registry.Fresh)
			})
		})
	}
}

// Those that begin together, or lose their entry together, agree within a few
// writes.
func TestRivalsAgree(t *testing.T) {
	inBubble(t, fakestore.Faults{Latency: 10 * time.Millisecond}, func(w *world) {
		const many = 5
		var rs []*libkv.KVRegistry
		for range many {
			rs = append(rs, w.open(nil))
			go func(r *libkv.KVRegistry) {
				_ = r.Register(w.Context(), registry.RegisterOption{TTL: ttl}, at(1))
			}(rs[len(rs)-1])
		}
		for range 3 {
			time.Sleep(time.Minute)
			var registered int
			var registrations uint64
			for _, r := range rs {
				s := r.Stats().Writer
				registered += s.Registered
				registrations += s.Registrations
			}
			time.Sleep(10 * time.Minute)
			for _, r := range rs {
				registrations -= r.Stats().Writer.Registrations
			}
			if registered != 1 || registrations != 0 {
				w.Errorf("%d of %d are registered, and %d wrote over others since", registered, many, -int64(registrations))
			}
			w.server.Remove(parent + "/" + "tcp@10.0.0.1:80")
		}
	})
}

// connected returns the registry of another process and its connection, which
// Register opens.
func (w *world) connected() (r *libkv.KVRegistry, connection func() *fakestore.Store) {
	var c *fakestore.Store
	r = w.open(func(o *libkv.Option) {
		o.Open = func() (store.Store, error) {
			c = w.server.Open()
			return c, nil
		}
	})
	return r, func() *fakestore.Store { return c }
}

// A write that failed may have taken effect: what was written is announced all the
// same, and seen long before the list is read for its age.
func TestUnconfirmedRegistrationIsAnnounced(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		o := registry.RegisterOption{TTL: 2 * time.Minute}
		for i := range 3 {
			if err := w.open(nil).Register(w.Context(), o, at(i)); err != nil {
				w.Fatal(err)
			}
		}
		r, connection := w.connected()
		p := at(3)
		if err := r.Register(w.Context(), o, p); err != nil {
			w.Fatal(err)
		}
		consumer := w.open(nil)
		w.until(consumer, 4, time.Second)
		time.Sleep(10 * time.Second)
		connection().Fail(&fakestore.Faults{Unconfirmed: true})
		name := parent + "/tcp@" + p.Addr
		w.server.Remove(name)
		w.server.Set(parent, "touched by who removed it")
		w.until(consumer, 3, 5*time.Second)
		for there := false; !there; _, there = w.server.Value(name) {
			time.Sleep(10 * time.Millisecond)
		}
		connection().Fail(nil)
		if took := w.until(consumer, 4, o.TTL); took > 2*time.Second {
			w.Errorf("the provider is listed %v after it was written again", took)
		}
	})
}

// So is a departure, by the attempt that finds nothing to remove any more.
func TestUnconfirmedDepartureIsAnnounced(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		o := registry.RegisterOption{TTL: 2 * time.Minute}
		for i := range 3 {
			if err := w.open(nil).Register(w.Context(), o, at(i)); err != nil {
				w.Fatal(err)
			}
		}
		r, connection := w.connected()
		p := at(3)
		if err := r.Register(w.Context(), o, p); err != nil {
			w.Fatal(err)
		}
		consumer := w.open(nil)
		watcher, err := consumer.Watch()
		if err != nil {
			w.Fatal(err)
		}
		w.until(consumer, 4, time.Second)
		time.Sleep(10 * time.Second)
		connection().Fail(&fakestore.Faults{Unconfirmed: true})
		if err := r.Unregister(w.Context(), o, p); !errors.Is(err, fakestore.ErrUnconfirmed) {
			w.Fatalf("Unregister says %v", err)
		}
		connection().Fail(nil)
		if err := r.Unregister(w.Context(), o, p); err != nil {
			w.Fatal(err)
		}
		if took := w.until(consumer, 3, o.TTL); took > time.Second {
			w.Errorf("the provider is listed for %v after it has left", took)
		}
		s, err := watcher.Next(w.Context())
		if want := "tcp@" + p.Addr; err != nil || !slices.Equal(s.Left, []string{want}) {
			w.Errorf("left: %q, %v; want %s", s.Left, err, want)
		}
	})
}

// A clock of stamps stands still while the store fails: an outage kills nobody.
func TestOutageSweepsNobody(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		for i := range 4 {
			w.serve(i)
		}
		consumer := w.open(nil)
		w.until(consumer, 4, time.Second)
		for range 10 {
			w.server.Fail(fakestore.Faults{Down: true})
			time.Sleep(ttl)
			w.server.Fail(fakestore.Faults{})
			w.want(consumer, 6*time.Second, 4, registry.Fresh)
		}
		if n := w.server.Calls("delete"); n != 0 {
			w.Errorf("%d entries were swept", n)
		}
	})
}

// A list costs ZooKeeper a read for each provider: where nothing changes, it is read
// once in half a TTL, also where that is longer than the default.
func TestListsAtRest(t *testing.T) {
	for _, ttl := range []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute} {
		inBubble(t, fakestore.Faults{}, func(w *world) {
			for i := range 3 {
				if err := w.open(nil).Register(w.Context(), registry.RegisterOption{TTL: ttl}, at(i)); err != nil {
					w.Fatal(err)
				}
			}
			consumer := w.open(nil)
			w.until(consumer, 3, time.Second)
			time.Sleep(ttl) // what has just begun is no rest
			before := consumer.Stats().Reader.Lists
			const halves = 20
			time.Sleep(halves * ttl / 2)
			// It is looked for at a poll, which comes up to 12 s after the half is over.
			least := uint64(halves * (ttl / 2) / (ttl/2 + 12*time.Second))
			if n := consumer.Stats().Reader.Lists - before; n < least || n > halves+1 {
				w.Errorf("with a TTL of %v, %d lists in %d halves of it; want %d to %d", ttl, n, halves, least, halves+1)
			}
			w.want(consumer, 0, 3, registry.Fresh)
		})
	}
}

// Providers that start together do not all list at one moment who else is there,
// and a store that fails is not asked for that at the pace of refreshes.
func TestSweepsAreSpread(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		const many = 60
		for i := range many {
			w.serve(i)
		}
		time.Sleep(ttl/3*5/4 + time.Second) // the longest interval, and a bit
		if n := w.server.Calls("list"); n > many/2 {
			w.Errorf("%d of %d providers have listed after an interval", n, many)
		}
		time.Sleep(ttl)
		if n := w.server.Calls("list"); n < many {
			w.Errorf("%d of %d providers have listed after more than a TTL", n, many)
		}
	})
	inBubble(t, fakestore.Faults{}, func(w *world) {
		w.serve(1)
		w.server.Fail(fakestore.Faults{Down: true})
		time.Sleep(10 * time.Minute)
		if n := w.server.Calls("list"); n < 5 || n > 15 {
			w.Errorf("a store that is down for ten minutes was asked %d times for a list", n)
		}
	})
}

// Dead entries are swept by halves, and nobody who lives with them.
func TestSweepIsBounded(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		var doomed []*libkv.KVRegistry
		for i := range 20 {
			r, _ := w.serve(i)
			if i >= 4 {
				doomed = append(doomed, r)
			}
		}
		time.Sleep(time.Minute)
		for _, r := range doomed {
			crash(r)
		}
		time.Sleep(2 * ttl)
		if n := w.server.Calls("delete"); n > 10 {
			w.Errorf("%d of 20 entries were swept within a TTL", n)
		}
		time.Sleep(3 * ttl)
		left := 0
		for i := range 20 {
			if _, there := w.server.Value(fmt.Sprintf("%s/tcp@10.0.0.%d:80", parent, i)); there {
				left++
			}
		}
		if left != 4 {
			w.Errorf("%d entries are left, want those of the 4 that live", left)
		}
	})
}

// What is no entry of a provider is somebody else's, such as keys below a parent that
// is a team's own folder, or what another framework registers there: it stands for
// ever, keeps nobody from sweeping, and a provider that is really dead is swept.
func TestSweepLeavesWhatIsNotOurs(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		foreign := map[string]string{
			parent + "/tcp@10.0.0.9:80":  "weight=5&group=blue",
			parent + "/tcp@10.0.0.10:80": "",
			parent + "/other":            "its.own.parent",
			parent + "/other/tcp@a:1":    "nothing of ours",
		}
		for i := range 8 {
			foreign[fmt.Sprintf("%s/db_url_%d", parent, i)] = "postgres://db/shop?instance=1&stamp=2"
		}
		for key, value := range foreign {
			w.server.Set(key, value)
		}
		w.serve(1)
		w.serve(2)
		dead, p := w.serve(3)
		time.Sleep(time.Minute)
		crash(dead)
		time.Sleep(3 * ttl)
		if _, there := w.server.Value(parent + "/tcp@" + p.Addr); there {
			w.Error("a dead entry has not been swept")
		}
		time.Sleep(30 * time.Minute)
		for key, value := range foreign {
			if got, there := w.server.Value(key); !there || got != value {
				w.Errorf("%s holds %q, %v; want %q", key, got, there, value)
			}
		}
	})
}

func TestSnapshotFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "providers.json")
	withFile := func(o *libkv.Option) { o.SnapshotFile = file }
	inBubble(t, fakestore.Faults{}, func(w *world) {
		consumer := w.open(withFile)
		w.serve(1)
		w.serve(2)
		w.until(consumer, 2, time.Second)
		time.Sleep(10 * time.Second)
		_ = consumer.Close()
		saved := time.Now()

		w.server.Fail(fakestore.Faults{Down: true})
		time.Sleep(time.Hour)
		late := w.open(withFile)
		n, state := w.listed(late)
		if n != 2 || state.Status != registry.Stale || saved.Sub(state.Since) > time.Minute || !errors.Is(state.Cause, fakestore.ErrDown) {
			w.Errorf("started without the registry: %d providers, %v", n, state)
		}
		w.server.Fail(fakestore.Faults{})
		w.want(late, 10*time.Second, 2, registry.Fresh)
	})
}

// What is owed to the file when the registry loses all is not what is left then: the
// next start would have less than this one. Nor is an empty list.
func TestSnapshotFileKeepsTheBetterList(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at Close": 500 * time.Millisecond, "in its turn": 8 * time.Second} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "providers.json")
			withFile := func(o *libkv.Option) { o.SnapshotFile = file }
			inBubble(t, fakestore.Faults{}, func(w *world) {
				consumer := w.open(withFile)
				var doomed []*libkv.KVRegistry
				for i := range 5 {
					r, _ := w.serve(i)
					doomed = append(doomed, r)
				}
				w.until(consumer, 5, time.Second)
				time.Sleep(20 * time.Second)
				a, _ := w.serve(5) // the file is written
				w.until(consumer, 6, time.Second)
				time.Sleep(time.Second)
				b, _ := w.serve(6) // and owed another list
				w.until(consumer, 7, time.Second)
				for _, r := range append(doomed, a, b) {
					crash(r)
				}
				w.server.Remove(parent)
				w.server.Set(parent, "wiped")
				w.serve(7)
				w.want(consumer, wait, 8, registry.Doubted)
				_ = consumer.Close()
				w.wantSaved(file, 6)
			})
		})
	}
	t.Run("empty", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "providers.json")
		inBubble(t, fakestore.Faults{}, func(w *world) {
			consumer := w.open(func(o *libkv.Option) { o.SnapshotFile = file })
			r, _ := w.serve(1)
			w.until(consumer, 1, time.Second)
			time.Sleep(10 * time.Second)
			crash(r)
			w.until(consumer, 0, 3*ttl)
			time.Sleep(time.Minute)
			_ = consumer.Close()
			w.wantSaved(file, 1)
		})
	})
}

// wantSaved checks how many providers a consumer finds in file, and the file only.
func (w *world) wantSaved(file string, n int) {
	w.Helper()
	w.server.Fail(fakestore.Faults{Down: true})
	w.want(w.open(func(o *libkv.Option) { o.SnapshotFile = file }), time.Second, n, registry.Stale)
}

func TestSnapshotFileOfNoUse(t *testing.T) {
	for name, content := range map[string]string{
		"empty":           "",
		"garbage":         "\x00\x01",
		"of another app":  `{"Version":1,"AppKey":"other","ServicePath":"/sinew/service","Saved":"2000-01-01T00:00:00Z"}`,
		"of the future":   `{"Version":1,"AppKey":"registrytest","ServicePath":"/sinew/service","Saved":"2999-01-01T00:00:00Z"}`,
		"another version": `{"Version":9}`,
		"bad provider":    `{"Version":1,"AppKey":"registrytest","ServicePath":"/sinew/service","Saved":"1999-01-01T00:00:00Z","Providers":[{}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "providers.json")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			inBubble(t, fakestore.Faults{Down: true}, func(w *world) {
				r := w.open(func(o *libkv.Option) { o.SnapshotFile = file })
				ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
				defer cancel()
				if ps, state, err := r.Providers(ctx); err == nil {
					w.Errorf("served %v, %v", ps, state)
				}
			})
		})
	}
}

// A store that hangs is replaced, closed once, and holds few goroutines.
func TestHungStoreIsReplaced(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		r, _ := w.serve(1)
		consumer := w.open(nil)
		w.until(consumer, 1, time.Second)
		w.server.Fail(fakestore.Faults{Hang: true})
		time.Sleep(10 * time.Minute)
		s := r.Stats().Store
		if s.Replaced == 0 || s.Replaced > 60 {
			w.Errorf("%d replacements in ten minutes", s.Replaced)
		}
		w.server.Fail(fakestore.Faults{})
		w.want(consumer, time.Minute, 1, registry.Fresh)
		_ = r.Close()
		_ = consumer.Close()
		synctest.Wait()
		if opened, closed := w.server.Connections(); opened != closed {
			w.Errorf("%d stores were opened and %d closed", opened, closed)
		}
	})
}

func TestCloseWhileTheStoreHangs(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		r, _ := w.serve(1)
		w.until(r, 1, time.Second)
		w.server.Fail(fakestore.Faults{Hang: true})
		time.Sleep(time.Minute)
		began := time.Now()
		_ = r.Close()
		if took := time.Since(began); took > 4*time.Second {
			w.Errorf("Close took %v", took)
		}
		if err := r.Register(w.Context(), registry.RegisterOption{}, at(2)); !errors.Is(err, registry.ErrClosed) {
			w.Errorf("Register after Close: %v", err)
		}
	})
}

func TestPanicOfTheStoreIsAnError(t *testing.T) {
	inBubble(t, fakestore.Faults{Panic: true}, func(w *world) {
		var failed *libkv.StoreError
		if err := w.open(nil).Register(w.Context(), registry.RegisterOption{}, at(1)); !errors.As(err, &failed) {
			w.Errorf("Register says %v, want a *StoreError", err)
		}
	})
}

// Refresh is cheap to call and bounded in what it costs.
func TestRefreshIsBounded(t *testing.T) {
	inBubble(t, fakestore.Faults{NoWatch: true, Form: fakestore.AllLevels}, func(w *world) {
		consumer := w.open(nil)
		w.want(consumer, 0, 0, registry.Fresh)
		w.serve(1)
		consumer.Refresh()
		if took := w.until(consumer, 1, time.Minute); took > time.Second {
			w.Errorf("an early list came after %v", took)
		}
		lists := w.server.Calls("list")
		for range 1000 {
			consumer.Refresh()
			time.Sleep(10 * time.Millisecond)
		}
		if n := w.server.Calls("list") - lists; n > 13 {
			w.Errorf("%d lists in ten seconds", n)
		}
	})
}

// Clients that cannot reach a provider which refreshes its entry well ask for early
// lists for as long as that lasts: where nothing has changed they are asked of the
// parent alone, and what changes is seen in time all the same.
func TestRefreshWithoutNewsReadsTheParentAlone(t *testing.T) {
	inBubble(t, fakestore.Faults{Deaf: true}, func(w *world) {
		for i := range 3 {
			w.serve(i)
		}
		consumer := w.open(nil)
		w.until(consumer, 3, time.Second)
		refresh(consumer, ttl)
		before := consumer.Stats().Reader
		refresh(consumer, time.Minute)
		after := consumer.Stats().Reader
		if n, most := after.Lists-before.Lists, uint64(time.Minute/(ttl/2))+1; n == 0 || n > most {
			w.Errorf("%d lists in a minute of nothing, want at most %d: one in half a TTL", n, most)
		}
		if n := after.Early - before.Early; n < 45 || n > 61 {
			w.Errorf("%d early reads in a minute, want about one a second", n)
		}

		r, p := w.serve(3)
		refresh(consumer, 1100*time.Millisecond)
		w.want(consumer, 0, 4, registry.Fresh)
		if err := r.Unregister(w.Context(), registry.RegisterOption{}, p); err != nil {
			w.Fatal(err)
		}
		refresh(consumer, 1100*time.Millisecond)
		w.want(consumer, 0, 3, registry.Fresh)
		dead, _ := w.serve(4)
		refresh(consumer, 1100*time.Millisecond)
		w.want(consumer, 0, 4, registry.Fresh)
		crash(dead)
		refresh(consumer, 5*ttl/2)
		w.want(consumer, 0, 3, registry.Fresh)
	})
}

// A store that fails at once is asked at its own pace, whoever cannot reach whom.
func TestRefreshHastensNothingWhileTheStoreFails(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		r, _ := w.serve(1)
		consumer := w.open(nil)
		w.until(consumer, 1, time.Second)
		crash(r)
		w.server.Fail(fakestore.Faults{Down: true})
		refresh(consumer, 20*time.Second) // until the pauses are long
		reads := w.server.Calls("get")
		refresh(consumer, time.Minute)
		if n := w.server.Calls("get") - reads; n > 40 { // one in 2.5 s to 5 s, and what else asks at times; signals came 600 times
			w.Errorf("%d reads in a minute of a store that is down", n)
		}
		w.server.Fail(fakestore.Faults{})
		refresh(consumer, 5100*time.Millisecond)
		if _, state := w.listed(consumer); state.Status == registry.Stale {
			w.Errorf("%v, with the store back for 5 s", state)
		}
	})
}

func TestOptions(t *testing.T) {
	kv := new(fakestore.Server).Open()
	for name, o := range map[string]libkv.Option{
		"AppKey":         {ServicePath: path},
		"ServicePath":    {AppKey: "a", ServicePath: "a/../b"},
		"UpdateInterval": {AppKey: "a", UpdateInterval: -1},
		"CallLimit":      {AppKey: "a", CallLimit: -1},
		"SnapshotFile":   {AppKey: "a", SnapshotFile: "/no/such/folder/file"},
	} {
		var refused *libkv.OptionError
		if _, err := libkv.New(kv, o); !errors.As(err, &refused) || refused.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := libkv.NewKVRegistry(store.ZK, "a", path, []string{"127.0.0.1:1"}, 0, nil)
	if err == nil || !strings.Contains(err.Error(), "registry/libkv/zookeeper") {
		t.Errorf("without the driver: %v; want the import that is missing", err)
	}
}
