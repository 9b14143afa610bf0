package libkv

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry/libkv/internal/fakestore"
)

// lines keeps what is logged. Like a handler of a user's, it asks the guard for
// figures while it has a line in hand.
type lines struct {
	slog.Handler
	g *guard

	mu sync.Mutex
	// Guarded by mu.
	lines []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.g.snapshot()
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Level >= slog.LevelInfo {
		l.lines = append(l.lines, r.Message)
	}
	return nil
}

// want checks that each line since the last check has the words of one of want.
func (l *lines) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	fits := len(l.lines) == len(want)
	for i := 0; fits && i < len(want); i++ {
		fits = strings.Contains(l.lines[i], want[i])
	}
	if !fits {
		t.Errorf("logged %q, want %q", l.lines, want)
	}
	l.lines = nil
}

func inLoggedWorld(t *testing.T, test func(*guardWorld, *lines)) {
	inGuardWorld(t, func(w *guardWorld) {
		l := &lines{g: w.g}
		log.SetHandler(l)
		defer log.SetHandler(nil)
		test(w, l)
	})
}

// tryFor calls get each second.
func (w *guardWorld) tryFor(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; time.Sleep(time.Second) {
		_, _ = w.g.get(w.Context(), "a")
	}
}

func TestOutageIsLoggedOnce(t *testing.T) {
	inLoggedWorld(t, func(w *guardWorld, l *lines) {
		w.tryFor(time.Minute)
		l.want(t)
		w.server.Fail(fakestore.Faults{Down: true})
		w.tryFor(50 * time.Second)
		l.want(t, "get a failed after 0s: fakestore: the server is down; trying again until it answers")
		w.heal()
		w.tryFor(time.Minute)
		l.want(t, "the store answers again after 50s")
	})
}

func TestReplacementIsLogged(t *testing.T) {
	inLoggedWorld(t, func(w *guardWorld, l *lines) {
		w.tryFor(time.Second)
		w.opened[0].Fail(&fakestore.Faults{Hang: true})
		w.tryFor(time.Minute)
		l.want(t, "the store does not answer; trying again", "another connection is opened", "answers again")
	})
}

// Refused writes beside answered reads are an outage a minute, not a second.
func TestHalfAnOutageIsLoggedRarely(t *testing.T) {
	inLoggedWorld(t, func(w *guardWorld, l *lines) {
		w.tryFor(time.Second)
		for range 100 {
			w.server.Fail(fakestore.Faults{Down: true})
			w.tryFor(time.Second)
			w.heal()
			w.tryFor(time.Second)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if n := len(l.lines); n == 0 || n > 8 {
			t.Errorf("%d lines in 200 s: %q", n, l.lines)
		}
	})
}

func TestCloseSaysWhatHangs(t *testing.T) {
	inLoggedWorld(t, func(w *guardWorld, l *lines) {
		w.tryFor(time.Second)
		w.server.Fail(fakestore.Faults{Hang: true})
		w.g.close()
		l.want(t, "left behind")
	})
}
