package main

import (
	"fmt"
	"io"
	"os"
	"slices"
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

// Between these a terminal leaves out what is beyond its last column.
const (
	wrapOff = "\x1b[?7l"
	wrapOn  = "\x1b[?7h"
)

// show shows lines in place of those before. On a terminal what it has no room for is
// left out: what wraps or scrolls away would stay there for good.
func (s *screen) show(lines []string) {
	if !s.live {
		fmt.Fprint(s.out, harmless(strings.Join(lines, "\n"))+"\n")
		return
	}
	lines = s.fit(lines)
	text := wrapOff + harmless(strings.Join(lines, "\n")) + "\n" + wrapOn
	if s.shown > 0 {
		text = fmt.Sprintf("\x1b[%dA\r\x1b[J", s.shown) + text
	}
	s.shown = len(lines)
	fmt.Fprint(s.out, text)
}

// fit returns lines without what the terminal has no room for. The columns of a
// character are not known for certain: wrapOff is for those that take two.
func (s *screen) fit(lines []string) []string {
	file, ok := s.out.(*os.File)
	if !ok {
		return lines
	}
	columns, height := sizeOf(file)
	if room := height - 1; room > 1 && len(lines) > room { // the cursor stands below
		more := fmt.Sprintf("… and %s", plural(len(lines)-room+1, "more line"))
		lines = append(slices.Clone(lines[:room-1]), more)
	}
	fitting := make([]string, len(lines))
	for i, line := range lines {
		if fitting[i] = line; columns > 0 {
			fitting[i] = clip(harmless(line), columns)
		}
	}
	return fitting
}
