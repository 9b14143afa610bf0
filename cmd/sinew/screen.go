package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// screen shows lines in place of those shown before, on a terminal; elsewhere they
// follow each other.
type screen struct {
	out   io.Writer
	live  bool
	shown int // lines that stand on the terminal
}

func newScreen(out io.Writer) *screen {
	if p, ok := out.(plain); ok {
		out = p.out // show makes harmless what is not the screen's own
	}
	return &screen{out: out, live: isTerminal(out)}
}

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

// show shows lines in place of those before.
func (s *screen) show(lines []string) {
	text := harmless(strings.Join(lines, "\n")) + "\n"
	if s.live && s.shown > 0 {
		text = fmt.Sprintf("\x1b[%dA\r\x1b[J", s.shown) + text
	}
	s.shown = len(lines)
	fmt.Fprint(s.out, text)
}
