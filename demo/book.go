package main

import (
	_ "embed"
	"fmt"
	"os"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed text/opticks-book-three.txt
var opticks string

// passageSize is about how many bytes of text one call carries.
const passageSize = 2 << 10

// maxBook bounds the file that -file names, in bytes.
const maxBook = 64 << 20

// book is a text cut into passages, with what their words must come to, and
// what the providers have counted of it.
type book struct {
	title    string
	passages []string
	expected []int // words of each passage

	mu sync.Mutex
	// Guarded by mu:
	seen    []bool // passages that are in counted
	counted wordCount
}

// openBook reads the text of file, or takes the demo's own for "".
func openBook(file string) (*book, error) {
	if file == "" {
		return newBook("the third book of Newton's Opticks", opticks), nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("-file: %w", err)
	}
	if info.Size() > maxBook {
		return nil, fmt.Errorf("-file: %s has %d bytes; give a text of at most %d", file, info.Size(), maxBook)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-file: %w", err)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("-file: %s is no UTF-8 text", file)
	}
	b := newBook(file, string(text))
	if len(b.passages) == 0 {
		return nil, fmt.Errorf("-file: there is not a word in %s", file)
	}
	return b, nil
}

func newBook(title, text string) *book {
	b := &book{title: title, counted: wordCount{Count: make(map[string]int)}}
	for text != "" {
		cut := cutAt(text)
		if words := countWords(text[:cut]).Words; words > 0 {
			b.passages = append(b.passages, text[:cut])
			b.expected = append(b.expected, words)
		}
		text = text[cut:]
	}
	b.seen = make([]bool, len(b.passages))
	return b
}

// cutAt returns where the first passage of text ends: at the first space that
// makes it large enough.
func cutAt(text string) int {
	if len(text) <= passageSize {
		return len(text)
	}
	space := strings.IndexAny(text[passageSize:], " \n")
	if space < 0 {
		return len(text)
	}
	return passageSize + space
}

// take notes what a provider counted in passage i, and reports whether it
// counted right.
func (b *book) take(i int, reply wordCount) bool {
	if reply.Words != b.expected[i] {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[i] {
		return true
	}
	b.seen[i] = true
	b.counted.Words += reply.Words
	for word, n := range reply.Count {
		b.counted.Count[word] += n
	}
	return true
}

// summary says in one line what was counted.
func (b *book) summary() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	passages := 0
	for _, seen := range b.seen {
		if seen {
			passages++
		}
	}
	if passages == 0 {
		return "no passage of " + b.title
	}
	return fmt.Sprintf("%d of %d passages of %s: %s words; most frequent: %s", passages, len(b.passages),
		b.title, grouped(uint64(b.counted.Words)), strings.Join(b.counted.mostFrequent(5), ", "))
}
