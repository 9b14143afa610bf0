package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// plain is an output on which texts of others, a provider's or a registry's, do
// nothing to the terminal.
type plain struct{ out io.Writer }

// Write implements io.Writer. A text is written in one piece, or a character that is
// in two of them is lost.
func (p plain) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.out, harmless(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// harmless writes the characters that move a terminal's cursor, change its state or
// the direction of its text as JSON writes them, so that JSON stays what it is.
func harmless(text string) string {
	if strings.IndexFunc(text, harms) < 0 {
		return strings.ToValidUTF8(text, string(unicode.ReplacementChar))
	}
	var out strings.Builder
	for _, r := range text {
		if harms(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// harms tells control characters, but for the end of a line and a tab, and those
// that override the direction of text (Unicode's UAX 9, 2).
func harms(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}
