package protocol

import (
	"bytes"
	"errors"
	"fmt"
)

var errUnbalanced = errors.New("its brackets do not match")

// Check proves that body nests at most MaxDepth deep, with matching brackets,
// and that it holds a bounded number of elements, see Checker. That it is one
// JSON value and nothing else is proved by encoding/json, in its own iterative
// pass before it allocates.
func (jsonSerializer) Check(body []byte, v any, maxElements int) error {
	s := jsonScan{body: body, limit: maxElements}
	if err := s.run(); err != nil {
		return err
	}
	return decodeCostOf(v).check(s.counts, len(body), maxElements)
}

// jsonScan is the pass over a JSON text that counts. It takes text that is no
// JSON for JSON as long as its brackets match.
type jsonScan struct {
	body   []byte
	limit  int // of elements; negative is none
	counts elementCounts

	depth   int
	objects [MaxDepth / 64]uint64 // a bit per level: it is an object
}

func (s *jsonScan) run() error {
	for i := 0; i < len(s.body); i++ {
		var err error
		switch s.body[i] {
		case '"':
			if i = endOfString(s.body, i+1); i < 0 {
				return errTruncated
			}
		case '[', '{':
			err = s.open(s.body[i] == '{')
		case ']', '}':
			if s.depth == 0 || s.inObject() != (s.body[i] == '}') {
				return errUnbalanced
			}
			s.depth--
		case ',':
			err = s.element()
		}
		if err != nil {
			return err
		}
	}
	if s.depth != 0 {
		return errTruncated
	}
	return nil
}

// endOfString returns the position of the quote that ends the string which
// begins at i, or -1.
func endOfString(b []byte, i int) int {
	for {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		end := i + n
		backslashes := 0
		for end-backslashes > i && b[end-backslashes-1] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return end
		}
		i = end + 1
	}
}

// open enters a container, which counts as if it had an element.
func (s *jsonScan) open(object bool) error {
	if s.depth == MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrTooDeep, MaxDepth)
	}
	word, bit := s.depth/64, uint64(1)<<(s.depth%64)
	s.objects[word] &^= bit
	if object {
		s.objects[word] |= bit
		s.counts.containers++
	}
	s.depth++
	return s.element()
}

func (s *jsonScan) inObject() bool {
	level := s.depth - 1
	return s.objects[level/64]>>(level%64)&1 == 1
}

func (s *jsonScan) element() error {
	if s.depth == 0 {
		return nil // encoding/json refuses it
	}
	if s.inObject() {
		s.counts.entries++
	} else {
		s.counts.elements++
	}
	if s.limit >= 0 && s.counts.total() > s.limit {
		return fmt.Errorf("%w: more than %d", ErrTooManyElements, s.limit)
	}
	return nil
}
