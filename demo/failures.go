package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
)

// failure is a kind of failed calls: what happened, and what is known of the
// method.
type failure struct {
	code    protocol.Code
	outcome protocol.Outcome
}

// String returns it as it is printed.
func (f failure) String() string { return f.code.String() + ", " + f.outcome.String() }

// meaning says in words what the outcome tells.
func (f failure) meaning() string {
	switch f.outcome {
	case protocol.NotSent:
		return "the request never left"
	case protocol.Refused:
		return "the provider refused it, the method did not run"
	case protocol.Ran:
		return "the method answered with an error"
	}
	return "sent, and no answer came: the method may have run"
}

// failures counts failed calls by kind. The zero value is empty; all methods
// may run concurrently.
type failures struct {
	mu sync.Mutex
	// Guarded by mu:
	kinds map[failure]*failureCount
}

type failureCount struct {
	failure
	calls   uint64
	example string // the text of the first
}

func (f *failures) add(err error) {
	kind := failure{protocol.CodeOf(err), protocol.OutcomeOf(err)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kinds == nil {
		f.kinds = make(map[failure]*failureCount)
	}
	if f.kinds[kind] == nil {
		f.kinds[kind] = &failureCount{failure: kind, example: story(err)}
	}
	f.kinds[kind].calls++
}

// story is what err says, and what led to it.
func story(err error) string {
	if told, ok := client.Explain(err); ok {
		return err.Error() + "\n" + told.String()
	}
	return err.Error()
}

// list returns a copy, the most frequent kind first.
func (f *failures) list() []failureCount {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]failureCount, 0, len(f.kinds))
	for _, count := range f.kinds {
		list = append(list, *count)
	}
	slices.SortFunc(list, func(a, b failureCount) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(a.String(), b.String()))
	})
	return list
}

// lines describes every kind in two lines.
func (f *failures) lines() (lines []string) {
	for _, count := range f.list() {
		lines = append(lines,
			fmt.Sprintf("  %s  %s: %s", grouped(count.calls), count.failure, count.meaning()),
			"     such as: "+count.example)
	}
	return lines
}
