package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is a heading, columns and rows. All columns but the first are numbers
// or words to compare, and stand on the right.
type table struct {
	heading string
	note    string
	columns []string
	rows    [][]string
	// leftAligned makes every column stand on the left: a table of words.
	leftAligned bool
}

// write prints the table as Markdown or as aligned text.
func (t table) write(w io.Writer, markdown bool) error {
	var b strings.Builder
	if markdown {
		t.markdown(&b)
	} else {
		t.text(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t table) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n", t.heading)
	if t.note != "" {
		fmt.Fprintf(b, "%s\n\n", t.note)
	}
	fmt.Fprintf(b, "| %s |\n|", strings.Join(t.columns, " | "))
	for i := range t.columns {
		if i == 0 || t.leftAligned {
			b.WriteString("---|")
		} else {
			b.WriteString("---:|")
		}
	}
	b.WriteString("\n")
	for _, r := range t.rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(r, " | "))
	}
}

func (t table) text(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s\n", strings.ToUpper(t.heading))
	if t.note != "" {
		fmt.Fprintf(b, "%s\n", t.note)
	}
	b.WriteString("\n")
	widths := make([]int, len(t.columns))
	lines := append([][]string{t.columns}, t.rows...)
	for _, line := range lines {
		for i, value := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(value))
		}
	}
	for _, line := range lines {
		var out strings.Builder
		for i, value := range line {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(value))
			if i == 0 || t.leftAligned {
				out.WriteString(value + padding + "  ")
			} else {
				out.WriteString(padding + value + "  ")
			}
		}
		b.WriteString(strings.TrimRight(out.String(), " ") + "\n")
	}
}
