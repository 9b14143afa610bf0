package client_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// logLines keeps what is logged.
type logLines struct {
	mu sync.Mutex
	// Guarded by mu:
	lines []string
}

func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// Enabled implements slog.Handler.
func (*logLines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *logLines) WithGroup(string) slog.Handler { return l }

// quiet keeps what a test provokes out of the log.
func quiet(t *testing.T) {
	log.SetHandler(slog.DiscardHandler)
	t.Cleanup(func() { log.SetHandler(nil) })
}

// curious is a log handler that looks at the client's providers before it writes.
type curious struct {
	logLines
	client client.SGClient
}

// Enabled implements slog.Handler.
func (*curious) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements slog.Handler.
func (h *curious) Handle(ctx context.Context, r slog.Record) error {
	_ = h.client.Providers()
	return h.logLines.Handle(ctx, r)
}

// want checks that each line has the words of one of want.
func (h *curious) want(t testing.TB, want ...string) {
	t.Helper()
	synctest.Wait()
	lines := h.all()
	if !slices.EqualFunc(lines, want, strings.Contains) {
		t.Errorf("logged %q, want %q", lines, want)
	}
}

func (w *fleet) curious() *curious {
	h := &curious{client: w.client}
	log.SetHandler(h)
	w.Cleanup(func() { log.SetHandler(nil) })
	return h
}

func TestALogHandlerMayAskOfADegradedProvider(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		h := w.curious()
		w.degrade(0)
		w.thaw(0)
		h.want(t, "mem p0 is degraded", "mem p0 answers heartbeats again")
	})
}

func TestALogHandlerMayAskOfABrokenProvider(t *testing.T) {
	withFleet(t, 2, withBreaker, func(w *fleet) {
		h := w.curious()
		w.fail(0, protocol.NewError(protocol.Unavailable, "no database"))
		w.sick(5)
		time.Sleep(time.Second)
		synctest.Wait() // the view with p0 in it is due at this very moment
		w.served()
		h.want(t, "mem p0 is not called", "the breaker of mem p0 is closed")
	})
}
