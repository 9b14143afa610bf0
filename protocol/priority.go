package protocol

import (
	"errors"
	"strconv"
)

// The priorities that a request may have under MetaPriority. 0 is that of most,
// and of those that say nothing; a server that must refuse refuses lower ones
// first.
const (
	MinPriority = -8
	MaxPriority = 8
)

// PriorityOf returns the priority of a request with metadata meta: 0 where it
// has none that is a number, and cut to what there is.
func PriorityOf(meta map[string]string) int {
	text, ok := meta[MetaPriority]
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 8) // one out of range is cut, with an error
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return min(max(int(n), MinPriority), MaxPriority)
}

// FormatPriority returns n as it travels.
func FormatPriority(n int) string { return strconv.Itoa(n) }
