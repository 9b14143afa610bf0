package main

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var someReport = report{
	elapsed: 2500 * time.Millisecond, duration: 8 * time.Second,
	rows: []row{
		{name: "127.0.0.1:40001", standing: standing{"lf", "serving", "connected"}, perSecond: 12345.6, answered: 1234567, p50: 90 * time.Microsecond, p99: 1234 * time.Microsecond},
		{name: "[2001:db8:0:0:0:0:0:17]:65535", standing: standing{"", "disconnecting", "half-connected"}, failed: 12, p50: 34 * time.Millisecond, p99: 1500 * time.Millisecond},
	},
	all: row{name: allCalls, perSecond: 12345, answered: 1234567, failed: 3, p50: 1, p99: 2},
}

func TestTable(t *testing.T) {
	want := []string{
		"  2.5s of 8s",
		"provider          idc state    client      calls/s   answered    p50    p99  err",
		"127.0.0.1:40001   lf  serving  connected    12,345  1,234,567   90µs 1.23ms    0",
		"[2001:db8:0:0:0:…     disconn… half-conn…        0          0   34ms  1.50s   12",
		"all calls                                   12,345  1,234,567    0µs    0µs    3",
	}
	got := someReport.table()
	if !slices.Equal(got, want) {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, line := range got {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns do not fit a terminal: %q", n, line)
		}
	}
}

func TestLine(t *testing.T) {
	const want = "  2.5s of 8s  12,345 calls/s  p50 0µs  p99 0µs  failed 3 | 127.0.0.1:40001 lf serving connected 12,345/s | [2001:db8:0:0:0:0:0:17]:65535 disconnecting half-connected 0/s"
	if got := someReport.line(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "-", 1500: "2µs", 999 * time.Microsecond: "999µs", 9994 * time.Microsecond: "9.99ms",
		12 * time.Millisecond: "12ms", time.Second: "1.00s",
	} {
		if got := brief(d); got != want {
			t.Errorf("%d is written %s, want %s", d, got, want)
		}
	}
}
