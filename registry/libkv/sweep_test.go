package libkv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/fakestore"
)

// stands reports whether the entry of provider i is in the store.
func (w *world) stands(i int) bool {
	_, there := w.server.Value(fmt.Sprintf("%s/tcp@10.0.0.%d:80", parent, i))
	return there
}

// Those who sweep are the two lowest: when both crash, the next two are who lives.
func TestSweepersAreReplaced(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		var lowest []*libkv.KVRegistry
		for i := range 5 {
			r, _ := w.serve(i + 1)
			if i < 2 {
				lowest = append(lowest, r)
			}
		}
		time.Sleep(time.Minute)
		for _, r := range lowest {
			crash(r)
		}
		time.Sleep(30 * ttl) // the others look once in ten
		for i := range 5 {
			if got, want := w.stands(i+1), i >= 2; got != want {
				w.Errorf("the entry of provider %d stands: %v, want %v", i+1, got, want)
			}
		}
	})
}

// Those who sweep go on after an outage, in which they could not move either.
func TestSweepersOutliveAnOutage(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		for i := range 4 {
			w.serve(i + 1)
		}
		last, _ := w.serve(5)
		time.Sleep(time.Minute)
		w.server.Fail(fakestore.Faults{Down: true})
		crash(last)
		time.Sleep(2 * time.Minute)
		w.server.Fail(fakestore.Faults{})
		time.Sleep(6 * ttl) // pauses after faults are up to a minute and a half
		if w.stands(5) {
			w.Error("who died in the outage has not been swept")
		}
	})
}

// Who died stays dead where the others have so long a TTL that the list is read once
// in several of its own, and is swept.
func TestShortTTLAmongLongOnes(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		for i := range 2 {
			if err := w.open(nil).Register(w.Context(), registry.RegisterOption{TTL: 2 * time.Minute}, at(i+1)); err != nil {
				w.Fatal(err)
			}
		}
		short, _ := w.serve(9)
		consumer := w.open(nil)
		w.until(consumer, 3, time.Second)
		time.Sleep(time.Minute)
		crash(short)
		w.until(consumer, 2, 3*ttl)
		for range 600 {
			w.want(consumer, time.Second, 2, registry.Fresh)
		}
		if w.stands(9) {
			w.Error("its entry has not been swept")
		}
	})
}

// The last one of an application does not come back to life either, where polls
// come further apart than its TTL.
func TestLastProviderStaysDead(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		r, _ := w.serve(1)
		consumer := w.open(func(o *libkv.Option) { o.UpdateInterval = 2 * ttl })
		w.until(consumer, 1, time.Second)
		time.Sleep(time.Minute)
		crash(r)
		w.until(consumer, 0, 3*ttl)
		for range 600 {
			w.want(consumer, time.Second, 0, registry.Fresh)
		}
	})
}

// Whoever asks too late is not refreshed any more all the same.
func TestUnregisterWithAnEndedContext(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		r, p := w.serve(1)
		time.Sleep(time.Minute)
		w.server.Fail(fakestore.Faults{Hang: true})
		ended, cancel := context.WithCancel(w.Context())
		cancel()
		if err := r.Unregister(ended, registry.RegisterOption{}, p); !errors.Is(err, context.Canceled) {
			w.Errorf("Unregister: %v", err)
		}
		if n := r.Stats().Writer.Wanted; n != 0 {
			w.Errorf("%d providers are still wanted", n)
		}
		w.server.Fail(fakestore.Faults{})
		time.Sleep(time.Minute) // what hung is over
		w.until(w.open(nil), 0, 2*ttl)
	})
}

// The entry of who has left while the store was away is swept as a dead one's is, by
// the same process too, whose other providers are all that is left.
func TestEntryWhoseUnregisterFailedIsSwept(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		r, _ := w.serve(1)
		p := at(2)
		for _, p := range []registry.Provider{p, at(3)} {
			if err := r.Register(w.Context(), registry.RegisterOption{TTL: ttl}, p); err != nil {
				w.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		w.server.Fail(fakestore.Faults{Down: true})
		if err := r.Unregister(w.Context(), registry.RegisterOption{}, p); err == nil {
			w.Error("Unregister: nil, though the store is down")
		}
		w.server.Fail(fakestore.Faults{})
		time.Sleep(4 * time.Minute)
		for i, want := range []bool{true, false, true} {
			if got := w.stands(i + 1); got != want {
				w.Errorf("the entry of provider %d stands: %v, want %v", i+1, got, want)
			}
		}
	})
}

// A child without a value is looked at again while it may be an entry that is being
// written, and no longer.
func TestEmptyChildrenCostNoLists(t *testing.T) {
	for _, name := range []string{"notes", "tcp@10.0.0.10:80"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, fakestore.Faults{}, func(w *world) {
				w.server.Set(parent+"/"+name, "")
				w.serve(1)
				w.serve(2)
				consumer := w.open(nil)
				w.until(consumer, 2, time.Second)
				time.Sleep(time.Minute)
				before := consumer.Stats().Reader.Lists
				time.Sleep(10 * time.Minute)
				if n, most := consumer.Stats().Reader.Lists-before, uint64(10*time.Minute/(ttl/2)+1); n > most {
					w.Errorf("%d lists in ten minutes, want %d at most", n, most)
				}
				if n := consumer.Stats().Reader.Unreadable; n != 1 {
					w.Errorf("%d children count as unreadable, want 1", n)
				}
			})
		})
	}
}
