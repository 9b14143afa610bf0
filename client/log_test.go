package client_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/sinew-rpc/sinew/internal/log"
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
