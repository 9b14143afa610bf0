package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPlainScreenPrintsLines(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.say("hello %d", 1)
	s.show(someReport)
	s.finish(someReport)
	want := "hello 1\n" + someReport.line() + "\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestLiveScreenRefreshesInPlace(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, live: true}
	table := wrapOff + strings.Join(someReport.table(), "\n") + "\n" + wrapOn // a narrow terminal wraps no line of it
	const up = "\x1b[5A\r\x1b[J"                                              // the table has five lines

	for _, step := range []struct {
		name, want string
		do         func()
	}{
		{"said before any table", "begin\n", func() { s.say("begin") }},
		{"first table", table, func() { s.show(someReport) }},
		{"second table replaces it", up + table, func() { s.show(someReport) }},
		{"what is said goes above", up + "killed\n" + table, func() { s.say("killed") }},
		{"so does a log", up + "warning\n" + table, func() { _, _ = s.Write([]byte("warning\n")) }},
		{"last table", up + table, func() { s.finish(someReport) }},
		{"it stands", "summary\n", func() { s.say("summary") }},
	} {
		out.Reset()
		step.do()
		if out.String() != step.want {
			t.Errorf("%s: printed %q, want %q", step.name, out.String(), step.want)
		}
	}
}

func TestFilesAreNoTerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) {
		t.Error("a file is taken for a terminal")
	}
}

func TestInterval(t *testing.T) {
	for _, c := range []struct {
		live           bool
		duration, want time.Duration
	}{
		{false, 0, time.Second},
		{false, 8 * time.Second, time.Second},
		{true, 8 * time.Second, 500 * time.Millisecond},
		{true, time.Second, 250 * time.Millisecond},
		{false, time.Millisecond, 10 * time.Millisecond},
	} {
		s := &screen{live: c.live}
		if got := s.interval(c.duration); got != c.want {
			t.Errorf("live %v, %v: every %v, want %v", c.live, c.duration, got, c.want)
		}
	}
}
