package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPassagesAreTheWholeText(t *testing.T) {
	b, err := openBook("")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(b.passages, "") != opticks {
		t.Error("the passages joined are not the text")
	}
	for i, p := range b.passages {
		if len(p) > passageSize+100 {
			t.Errorf("passage %d has %d bytes", i, len(p))
		}
	}
	for i, p := range b.passages {
		for range 2 { // what comes again is not counted again
			if !b.take(i, countWords(p)) {
				t.Errorf("a right count of passage %d is not taken", i)
			}
		}
	}
	if whole := countWords(opticks); b.counted.Words != whole.Words || !maps.Equal(b.counted.Count, whole.Count) {
		t.Errorf("all passages come to %d words, the text has %d", b.counted.Words, whole.Words)
	}
	if got := b.summary(); !strings.Contains(got, "23,876 words; most frequent: the, of, and, in, to") {
		t.Errorf("summary: %s", got)
	}
}

func TestWrongCountsAreNotTaken(t *testing.T) {
	b := newBook("a text", "one two")
	if b.take(0, wordCount{Words: 3}) {
		t.Error("three words were taken for two")
	}
	if got := b.summary(); got != "no passage of a text" {
		t.Errorf("summary: %s", got)
	}
}

func TestOpenBookOfAFile(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, text, wrong string }{
		{"good.txt", "to be, or not to be", ""},
		{"empty.txt", "", "not a word"},
		{"binary.txt", "\xff\xfe", "no UTF-8"},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		b, err := openBook(path)
		switch {
		case c.wrong == "" && (err != nil || len(b.passages) != 1):
			t.Errorf("%s: %v", c.name, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v, want it to say %q", c.name, err, c.wrong)
		}
	}
	if _, err := openBook(filepath.Join(dir, "none.txt")); err == nil || !strings.Contains(err.Error(), "-file") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestCountWords(t *testing.T) {
	got := countWords("It's the Sun's -- _the_ 'Sun'; 42 Phænomena")
	want := map[string]int{"it's": 1, "the": 2, "sun's": 1, "sun": 1, "phænomena": 1}
	if got.Words != 6 || !maps.Equal(got.Count, want) {
		t.Errorf("counted %d: %v, want %v", got.Words, got.Count, want)
	}
	if top := got.mostFrequent(2); !slices.Equal(top, []string{"the", "it's"}) {
		t.Errorf("most frequent: %v", top)
	}
}
