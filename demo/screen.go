package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// screen is where progress is shown. On a terminal the newest report stands as
// a table below what was said, and is refreshed in place; elsewhere each report
// is a line. All methods may run concurrently.
type screen struct {
	live bool

	mu sync.Mutex
	// Guarded by mu:
	out   io.Writer
	table []string // as it stands on the terminal
}

func newScreen(out io.Writer) *screen { return &screen{out: out, live: isTerminal(out)} }

// isTerminal reports whether out understands the few control sequences that
// refreshing in place needs.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// interval is the time between two reports of a run of the given length, 0 for
// one without an end.
func (s *screen) interval(duration time.Duration) time.Duration {
	every := time.Second
	if s.live {
		every = every / 2
	}
	if duration > 0 {
		every = min(every, duration/4)
	}
	return max(every, 10*time.Millisecond)
}

// show shows a report in place of the one before.
func (s *screen) show(r report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live {
		fmt.Fprintln(s.out, r.line())
		return
	}
	above := s.eraseLocked()
	s.table = r.table()
	fmt.Fprint(s.out, above+s.tableLocked())
}

// say prints lines that stay.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...) + "\n"
	if !s.live || len(s.table) == 0 {
		fmt.Fprint(s.out, text)
		return
	}
	fmt.Fprint(s.out, s.eraseLocked()+text+s.tableLocked())
}

// finish brings the table up to date and lets it stand. Where reports are lines
// the last one has been printed, and a summary follows.
func (s *screen) finish(r report) {
	if s.live {
		s.show(r)
	}
	s.mu.Lock()
	s.table = nil
	s.mu.Unlock()
}

// Write implements io.Writer for a logger: what is written is said.
func (s *screen) Write(line []byte) (int, error) {
	s.say("%s", strings.TrimRight(string(line), "\n"))
	return len(line), nil
}

// Between these a terminal leaves out what is beyond its last column.
const (
	wrapOff = "\x1b[?7l"
	wrapOn  = "\x1b[?7h"
)

// tableLocked returns what puts the table on the terminal, each of its lines on one: one
// that wraps would not be erased whole.
func (s *screen) tableLocked() string { return wrapOff + strings.Join(s.table, "\n") + "\n" + wrapOn }

// eraseLocked returns what removes the table from the terminal: up to its first
// line, then everything below is cleared.
func (s *screen) eraseLocked() string {
	if len(s.table) == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", len(s.table))
}
