package e2e

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
)

// census is how many goroutines run, by what started them.
type census map[string]int

func takeCensus() census {
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	c := census{}
	for _, stack := range strings.Split(string(stacks), "\n\n") {
		_, origin, _ := strings.Cut(stack, "\ncreated by ")
		origin, _, _ = strings.Cut(origin, " in goroutine ")
		c[origin]++
	}
	return c
}

func (c census) total() int {
	total := 0
	for _, n := range c {
		total += n
	}
	return total
}

// since lists what there is more or less of than before.
func (c census) since(before census) string {
	origins := maps.Clone(c)
	maps.Copy(origins, before)
	var b strings.Builder
	for _, origin := range slices.Sorted(maps.Keys(origins)) {
		if c[origin] != before[origin] {
			fmt.Fprintf(&b, "\n%4d, were %d: %s", c[origin], before[origin], origin)
		}
	}
	return b.String()
}
