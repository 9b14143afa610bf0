package main

import (
	"strings"
	"unicode/utf8"
)

// table is rows of cells whose columns are made as wide as needed. The first row
// is the head.
type table [][]string

// lines renders the table; what follows the last column that any row has in common
// with the head may be as long as it likes.
func (t table) lines() []string {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			cell = oneLine(cell)
			row[i] = cell
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(t))
	for i, row := range t {
		var line strings.Builder
		for j, cell := range row {
			line.WriteString(cell)
			if j < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)+2))
			}
		}
		lines[i] = strings.TrimRight(line.String(), " ")
	}
	return lines
}

// oneLine is text of others in which no line ends.
func oneLine(text string) string { return strings.ReplaceAll(harmless(text), "\n", `\u000a`) }
