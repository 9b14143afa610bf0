package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode"
)

// textService is served as "TextService".
type textService struct{}

// passage is a piece of text.
type passage struct{ Text string }

// wordCount says how often each word of a passage occurs, in lower case.
type wordCount struct {
	Words int
	Count map[string]int
}

// Count counts the words of a passage.
func (textService) Count(_ context.Context, in *passage, out *wordCount) error {
	*out = countWords(in.Text)
	return nil
}

// countWords takes as words what stands between characters that are no letters;
// an apostrophe within is part of it.
func countWords(text string) wordCount {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' })
	counted := wordCount{Count: make(map[string]int)}
	for _, word := range words {
		if word = strings.ToLower(strings.Trim(word, "'")); word != "" {
			counted.Words++
			counted.Count[word]++
		}
	}
	return counted
}

// mostFrequent returns up to n words, the most frequent first.
func (w wordCount) mostFrequent(n int) []string {
	words := make([]string, 0, len(w.Count))
	for word := range w.Count {
		words = append(words, word)
	}
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(w.Count[b], w.Count[a]), strings.Compare(a, b))
	})
	return words[:min(n, len(words))]
}
