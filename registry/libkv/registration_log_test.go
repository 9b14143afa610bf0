package libkv_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/libkv"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/fakestore"
)

// asker is a log handler that asks how the registry stands while it has a line in
// hand: one that adds such figures to each record, or reports its health.
type asker struct {
	slog.Handler
	p registry.Provider

	mu sync.Mutex
	// Guarded by mu.
	r     *libkv.KVRegistry
	lines []string
}

func (a *asker) Enabled(context.Context, slog.Level) bool { return true }

func (a *asker) Handle(_ context.Context, record slog.Record) error {
	a.mu.Lock()
	r := a.r
	a.lines = append(a.lines, record.Message)
	a.mu.Unlock()
	if r == nil {
		return nil
	}
	r.Stats()
	_, err := r.Registered(a.p)
	return err
}

// told reports whether a line with words was logged.
func (a *asker) told(words string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Contains(strings.Join(a.lines, "\n"), words)
}

// Whoever is told of a registration may ask for it: no line is logged with a lock
// held that the question needs.
func TestLogHandlerAsksTheRegistry(t *testing.T) {
	inBubble(t, fakestore.Faults{}, func(w *world) {
		p := at(1)
		a := &asker{p: p, r: w.open(nil)}
		log.SetHandler(a)
		defer log.SetHandler(nil)
		await := func(words string) {
			w.Helper()
			for range 300 {
				if a.told(words) {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			w.Fatalf("nobody was told that it %q", words)
		}
		o := registry.RegisterOption{TTL: ttl}
		if err := a.r.Register(w.Context(), o, p); err != nil {
			w.Fatal(err)
		}
		await("is registered under")
		w.server.Fail(fakestore.Faults{Down: true})
		await("counts as not registered")
		w.server.Fail(fakestore.Faults{})
		time.Sleep(time.Minute)
		if err := w.open(nil).Register(w.Context(), o, at(1)); err != nil {
			w.Fatal(err)
		}
		await("is left to another instance")
	})
}
