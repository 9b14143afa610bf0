package registrytest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

type suite struct {
	open     func(*testing.T) registry.Registry
	peer     func(*testing.T, registry.Registry) registry.Registry
	patience time.Duration
}

// fixture is one test: a registry that is written to, one that is read from,
// and a context that ends when patience does.
type fixture struct {
	*testing.T
	ctx      context.Context
	patience time.Duration
	writer   registry.Registry
	reader   registry.Registry
}

// run gives test its fixture, closes everything behind it, and fails it when
// goroutines are left.
func (s *suite) run(t *testing.T, test func(*fixture)) {
	before := runtime.NumGoroutine()
	// Cleanups run last in, first out: the check comes after those of open
	// and peer.
	t.Cleanup(func() { checkGoroutines(t, before, s.patience) })

	writer := s.open(t)
	reader := s.peer(t, writer)
	ctx, cancel := context.WithTimeout(context.Background(), 10*s.patience)
	defer cancel()
	test(&fixture{T: t, ctx: ctx, patience: s.patience, writer: writer, reader: reader})

	for name, r := range map[string]registry.Registry{"writer": writer, "reader": reader} {
		if err := r.Close(); err != nil {
			t.Errorf("closing the %s: %v", name, err)
		}
	}
}

// checkGoroutines waits until no more goroutines run than before.
func checkGoroutines(t *testing.T, before int, patience time.Duration) {
	if until(patience, func() bool { return runtime.NumGoroutine() <= before }) {
		return
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	t.Errorf("%d goroutines run after Close, %d before the test:\n%s", runtime.NumGoroutine(), before, stacks)
}

// until asks again and again whether condition holds, for at most patience.
func until(patience time.Duration, condition func() bool) bool {
	if condition() {
		return true
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(max(time.Millisecond, min(patience/100, 50*time.Millisecond)))
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if condition() {
				return true
			}
		case <-deadline.C:
			return condition()
		}
	}
}

// provider returns a provider with every field set.
func provider(addr string) registry.Provider {
	return registry.Provider{
		ProviderKey: registry.JoinKey("tcp", addr),
		Network:     "tcp",
		Addr:        addr,
		Tags:        map[string]string{"idc": "lf", "stage": "ü=@/ "},
		Weight:      7,
		Version:     "v1.2.3",
		Started:     time.UnixMilli(1_700_000_000_123),
		Services: []registry.Service{
			{Name: "Arith", Methods: []registry.Method{
				{Name: "Add", Request: "arith.AddRequest", Response: "arith.AddResponse"},
				{Name: "Sub", Request: "arith.SubRequest", Response: "arith.SubResponse"},
			}},
			{Name: "Text", Methods: []registry.Method{{Name: "Count", Request: "text.Request", Response: "text.Counts"}}},
		},
	}
}

func numbered(i int) registry.Provider {
	return provider(fmt.Sprintf("10.0.0.%d:8888", i))
}

func (f *fixture) register(ps ...registry.Provider) {
	f.Helper()
	if err := f.writer.Register(f.ctx, registry.RegisterOption{AppKey: AppKey}, ps...); err != nil {
		f.Fatalf("Register: %v", err)
	}
}

func (f *fixture) unregister(ps ...registry.Provider) {
	f.Helper()
	if err := f.writer.Unregister(f.ctx, registry.RegisterOption{AppKey: AppKey}, ps...); err != nil {
		f.Fatalf("Unregister: %v", err)
	}
}

func (f *fixture) list() []registry.Provider {
	f.Helper()
	ps, state, err := f.reader.Providers(f.ctx)
	if err != nil {
		f.Fatalf("Providers: %v", err)
	}
	if state.Status == registry.NeverReached {
		f.Fatalf("Providers returned a list that is %v", state)
	}
	return ps
}

// waitFor waits until the reader lists exactly ps.
func (f *fixture) waitFor(ps ...registry.Provider) {
	f.Helper()
	var got []registry.Provider
	if !until(f.patience, func() bool { got = f.list(); return equal(got, ps) }) {
		f.Fatalf("the list is\n%s\nwant\n%s", show(got), show(ps))
	}
}

func (f *fixture) watch() registry.Watcher {
	f.Helper()
	w, err := f.reader.Watch()
	if err != nil {
		f.Fatalf("Watch: %v", err)
	}
	f.Cleanup(func() { _ = w.Close() })
	return w
}

// next returns the watcher's next snapshot.
func (f *fixture) next(w registry.Watcher) registry.Snapshot {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, f.patience)
	defer cancel()
	s, err := w.Next(ctx)
	if err != nil {
		f.Fatalf("Next: %v", err)
	}
	return s
}

// nextUntil reads snapshots until one lists exactly ps, checks that revisions
// grow, and returns that one.
func (f *fixture) nextUntil(w registry.Watcher, after uint64, ps ...registry.Provider) registry.Snapshot {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, f.patience)
	defer cancel()
	for {
		s, err := w.Next(ctx)
		if err != nil {
			f.Fatalf("Next: %v before a snapshot of\n%s", err, show(ps))
		}
		if s.Revision <= after {
			f.Fatalf("revision %d after %d", s.Revision, after)
		}
		if equal(s.Providers, ps) {
			return s
		}
		after = s.Revision
	}
}

// equal compares a list with what it should hold, in any order.
func equal(got, want []registry.Provider) bool {
	want = slices.Clone(want)
	slices.SortFunc(want, byKey)
	return slices.EqualFunc(got, want, registry.Provider.Equal)
}

func byKey(a, b registry.Provider) int { return strings.Compare(a.ProviderKey, b.ProviderKey) }

func show(ps []registry.Provider) string {
	if len(ps) == 0 {
		return "\tnothing"
	}
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = fmt.Sprintf("\t%+v", p)
	}
	return strings.Join(lines, "\n")
}
