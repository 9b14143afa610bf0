package jsonrpc

import "testing"

func TestIdsWrapAndSkipWhatIsPending(t *testing.T) {
	var s ids
	first, second := s.take(), s.take()
	if first != 1 || second != 2 {
		t.Fatalf("%d, %d", first, second)
	}
	s.last = maxID - 1
	if id := s.take(); id != maxID {
		t.Errorf("%d, want %d", id, maxID)
	}
	if id := s.take(); id != 3 {
		t.Errorf("after the last id, with 1 and 2 pending: %d", id)
	}
	s.give(2)
	s.last = maxID
	if id := s.take(); id != 2 {
		t.Errorf("with 1 pending: %d", id)
	}
}
