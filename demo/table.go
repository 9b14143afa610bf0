package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table renders a report as lines of at most 80 columns, for a terminal.
func (r report) table() []string {
	lines := []string{
		r.clock(),
		fmt.Sprintf("%-17s %-3s %-8s %-10s %8s %10s %6s %6s %4s", "provider", "idc", "state", "client", "calls/s", "answered", "p50", "p99", "err"),
	}
	for _, line := range append(r.rows, r.all) {
		lines = append(lines, fmt.Sprintf("%-17s %-3s %-8s %-10s %8s %10s %6s %6s %4d", cut(line.name, 17), cut(line.idc, 3), cut(line.state, 8), cut(line.client, 10),
			grouped(uint64(line.perSecond)), grouped(line.answered), brief(line.p50), brief(line.p99), line.failed))
	}
	return lines
}

// line renders a report as one line, for logs and pipes.
func (r report) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s calls/s  p50 %s  p99 %s  failed %d", r.clock(),
		grouped(uint64(r.all.perSecond)), brief(r.all.p50), brief(r.all.p99), r.all.failed)
	for _, provider := range r.rows {
		fmt.Fprintf(&b, " | %s %s/s", strings.Join(slices.DeleteFunc([]string{provider.name, provider.idc, provider.state, provider.client}, isEmpty), " "), grouped(uint64(provider.perSecond)))
	}
	return b.String()
}

func isEmpty(s string) bool { return s == "" }

func (r report) clock() string {
	elapsed := fmt.Sprintf("%5.1fs", r.elapsed.Seconds())
	if r.duration > 0 {
		elapsed += fmt.Sprintf(" of %gs", r.duration.Seconds())
	}
	return elapsed
}

// grouped writes n with a comma before every third digit from the right.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// brief writes d with three digits; "-" for none.
func brief(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%.0fµs", float64(d)/float64(time.Microsecond))
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%.0fms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}

// cut shortens text to width columns.
func cut(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "…"
}
