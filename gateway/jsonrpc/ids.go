package jsonrpc

import (
	"math"
	"sync"
)

// maxID is the largest id that a Client uses: old Java peers keep an id in an
// int.
const maxID = math.MaxInt32

// ids gives out numbers from 1 to maxID, round and round, none that is still in
// use.
type ids struct {
	mu sync.Mutex
	// Guarded by mu.
	last    int32
	pending map[int32]struct{}
}

func (s *ids) take() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.pending = make(map[int32]struct{})
	}
	for {
		if s.last == maxID {
			s.last = 0
		}
		s.last++
		if _, used := s.pending[s.last]; !used {
			s.pending[s.last] = struct{}{}
			return s.last
		}
	}
}

func (s *ids) give(id int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, id)
}
