package main

import (
	"fmt"
	"strings"
	"time"
)

const absent = "–"

// rate prints calls a second in thousands.
func rate(perSecond float64) string {
	if perSecond == 0 {
		return absent
	}
	return fmt.Sprintf("%.1f k", perSecond/1000)
}

func ratio(value, to float64) string {
	if to == 0 || value == 0 {
		return absent
	}
	return fmt.Sprintf("%.2f×", value/to)
}

// percent prints by how much value differs from to.
func percent(value, to float64) string {
	if to == 0 || value == 0 {
		return absent
	}
	return fmt.Sprintf("%+.0f %%", 100*(value/to-1))
}

func micros(d time.Duration) string {
	us := float64(d) / float64(time.Microsecond)
	if us < 100 {
		return fmt.Sprintf("%.1f µs", us)
	}
	return fmt.Sprintf("%.0f µs", us)
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

func kibibytes(n float64) string { return fmt.Sprintf("%.1f", n/(1<<10)) }

func sizeName(n int) string {
	if n >= 1<<10 && n%(1<<10) == 0 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

func callersName(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

// padded fills a row that has nothing to show.
func padded(name, what string, columns int) []string {
	row := []string{name, what}
	for len(row) < columns {
		row = append(row, absent)
	}
	return row
}

// oneLine makes an error fit into a cell of a table.
func oneLine(s string) string {
	const longest = 200
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "/")
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + " …"
	}
	return s
}
