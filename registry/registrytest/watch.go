package registrytest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

func testWatchBegins(f *fixture) {
	if s := f.next(f.watch()); len(s.Providers) != 0 || s.Revision == 0 {
		f.Errorf("the first snapshot of an empty application has revision %d and\n%s", s.Revision, show(s.Providers))
	}
	p := numbered(1)
	f.register(p)
	f.waitFor(p)
	s := f.next(f.watch())
	if !equal(s.Providers, []registry.Provider{p}) {
		f.Errorf("the first snapshot is\n%s\nwant what is listed", show(s.Providers))
	}
	if s.State.Status == registry.NeverReached {
		f.Errorf("a snapshot with a list is %v", s.State)
	}
}

func testWatchWhole(f *fixture) {
	w := f.watch()
	p, q := numbered(1), numbered(2)
	last := f.nextUntil(w, 0).Revision
	f.register(p)
	last = f.nextUntil(w, last, p).Revision
	f.register(q)
	last = f.nextUntil(w, last, p, q).Revision
	p.Draining = true
	f.register(p)
	last = f.nextUntil(w, last, p, q).Revision
	f.unregister(p)
	last = f.nextUntil(w, last, q).Revision
	f.unregister(q)
	f.nextUntil(w, last)
}

func testWatchCoalesces(f *fixture) {
	w := f.watch()
	first := f.next(w)
	p := numbered(1)
	for weight := 1; weight <= 50; weight++ {
		p.Weight = weight
		f.register(p)
	}
	f.waitFor(p) // the reader knows the newest; w has read nothing meanwhile
	s := f.next(w)
	if !equal(s.Providers, []registry.Provider{p}) {
		f.Errorf("after 50 changes the next snapshot is\n%s\nwant the newest\n%s", show(s.Providers), show([]registry.Provider{p}))
	}
	if s.Revision <= first.Revision {
		f.Errorf("revision %d after %d", s.Revision, first.Revision)
	}
}

func testWatchIndependent(f *fixture) {
	slow := f.watch() // never read
	fast, other := f.watch(), f.watch()
	var after, afterOther uint64
	for i := 1; i <= 5; i++ {
		p := numbered(i)
		f.register(p)
		after = f.nextUntil(fast, after, p).Revision
		afterOther = f.nextUntil(other, afterOther, p).Revision
		f.unregister(p)
	}
	if err := slow.Close(); err != nil {
		f.Errorf("closing a watcher that was never read: %v", err)
	}
	f.nextUntil(fast, after)
}

func testWatchQuiet(f *fixture) {
	p := numbered(1)
	f.register(p)
	w := f.watch()
	last := f.nextUntil(w, 0, p)
	f.register(p) // as a provider does that lost sight of the registry
	ctx, cancel := context.WithTimeout(f.ctx, f.patience/20)
	defer cancel()
	for {
		s, err := w.Next(ctx)
		if err != nil {
			break
		}
		// A new state is news as well; the same again is not.
		if s.State.String() == last.State.String() && equal(s.Providers, last.Providers) {
			f.Fatalf("revision %d says what revision %d said\n%s", s.Revision, last.Revision, show(s.Providers))
		}
		last = s
	}
	q := numbered(2)
	f.register(q)
	f.nextUntil(w, last.Revision, p, q)
}

func testContext(f *fixture) {
	f.register(numbered(1))
	w := f.watch()
	f.nextUntil(w, 0, numbered(1))
	reason := func(name string, err, want error) {
		f.Helper()
		if !errors.Is(err, want) {
			f.Errorf("%s: %v, want %v", name, err, want)
		}
	}

	short, cancel := context.WithTimeout(f.ctx, 10*time.Millisecond)
	defer cancel()
	_, err := w.Next(short)
	reason("Next with nothing new", err, context.DeadlineExceeded)

	ended, cancel := context.WithCancel(f.ctx)
	cancel()
	_, err = w.Next(ended)
	reason("Next with an ended context", err, context.Canceled)
	reason("Register", f.writer.Register(ended, registry.RegisterOption{}, numbered(2)), context.Canceled)
	// Of one that is listed it may take effect later.
	reason("Unregister", f.writer.Unregister(ended, registry.RegisterOption{}, numbered(2)), context.Canceled)

	f.register(numbered(3)) // the watcher outlives the contexts of its readers
	f.nextUntil(w, 0, numbered(1), numbered(3))
}

// waiting starts Next, gives it time to find nothing new and block, and returns
// where its error will arrive.
func (f *fixture) waiting(w registry.Watcher) <-chan error {
	result := make(chan error, 1)
	go func() {
		for {
			if _, err := w.Next(f.ctx); err != nil {
				result <- err
				return
			}
		}
	}()
	blocked, cancel := context.WithTimeout(f.ctx, 20*time.Millisecond)
	defer cancel()
	<-blocked.Done()
	return result
}

func (f *fixture) wantWoken(result <-chan error, want error) {
	f.Helper()
	patience := time.NewTimer(f.patience)
	defer patience.Stop()
	select {
	case err := <-result:
		if !errors.Is(err, want) {
			f.Errorf("Next was woken with %v, want %v", err, want)
		}
	case <-patience.C:
		f.Errorf("Next was not woken within %v", f.patience)
	}
}

func testWatcherClose(f *fixture) {
	w, other := f.watch(), f.watch()
	f.next(w)
	result := f.waiting(w)
	for range 2 {
		if err := w.Close(); err != nil {
			f.Errorf("Close: %v", err)
		}
	}
	f.wantWoken(result, registry.ErrWatcherClosed)
	f.register(numbered(1))
	if _, err := w.Next(f.ctx); !errors.Is(err, registry.ErrWatcherClosed) {
		f.Errorf("Next after Close: %v, want ErrWatcherClosed", err)
	}
	f.nextUntil(other, 0, numbered(1))
}

func testRegistryClose(f *fixture) {
	w := f.watch()
	f.next(w)
	result := f.waiting(w)
	for range 2 {
		if err := f.reader.Close(); err != nil {
			f.Errorf("Close: %v", err)
		}
	}
	f.wantWoken(result, registry.ErrClosed)
	for name, use := range map[string]func() error{
		"Next":       func() error { _, err := w.Next(f.ctx); return err },
		"Providers":  func() error { _, _, err := f.reader.Providers(f.ctx); return err },
		"Watch":      func() error { _, err := f.reader.Watch(); return err },
		"Register":   func() error { return f.reader.Register(f.ctx, registry.RegisterOption{}, numbered(1)) },
		"Unregister": func() error { return f.reader.Unregister(f.ctx, registry.RegisterOption{}, numbered(1)) },
	} {
		if err := use(); !errors.Is(err, registry.ErrClosed) {
			f.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	if err := w.Close(); err != nil {
		f.Errorf("closing the watcher of a closed registry: %v", err)
	}
}

func testConcurrent(f *fixture) {
	const servers, rounds = 8, 10
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() {
			p := numbered(i + 1)
			for weight := range rounds {
				p.Weight = weight
				f.tryWrite(f.writer.Register, p)
				if weight%3 == 2 {
					f.tryWrite(f.writer.Unregister, p)
				}
			}
		})
	}
	final := make([]registry.Provider, servers)
	for i := range final {
		final[i] = numbered(i + 1)
		final[i].Weight = rounds - 1
	}
	for range 4 {
		w := f.watch()
		all.Go(func() { f.readUntil(w, final) })
	}
	all.Wait()
	f.waitFor(final...)
}

// tryWrite is register or unregister for goroutines, which must not Fatal.
func (f *fixture) tryWrite(write func(context.Context, registry.RegisterOption, ...registry.Provider) error, p registry.Provider) {
	if err := write(f.ctx, registry.RegisterOption{AppKey: AppKey}, p); err != nil {
		f.Errorf("%s: %v", p.ProviderKey, err)
	}
}

// readUntil is nextUntil for goroutines. It reads the list between snapshots.
func (f *fixture) readUntil(w registry.Watcher, want []registry.Provider) {
	ctx, cancel := context.WithTimeout(f.ctx, 2*f.patience)
	defer cancel()
	var last uint64
	for {
		s, err := w.Next(ctx)
		if err != nil {
			f.Errorf("Next: %v before the final list", err)
			return
		}
		if s.Revision <= last {
			f.Errorf("revision %d after %d", s.Revision, last)
		}
		last = s.Revision
		if _, _, err := f.reader.Providers(ctx); err != nil {
			f.Errorf("Providers: %v", err)
		}
		if equal(s.Providers, want) {
			return
		}
	}
}
