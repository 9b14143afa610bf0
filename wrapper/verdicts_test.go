package wrapper

import (
	"encoding/binary"
	"testing"
	"time"
)

func keyNumber(i int) (k verdictKey) {
	binary.LittleEndian.PutUint64(k.digest[:], uint64(i)*0x9E3779B97F4A7C15)
	return k
}

func (s *verdicts) count() (n int) {
	for i := range s.shards {
		n += len(s.shards[i].young) + len(s.shards[i].old)
	}
	return n
}

// However many tokens come, few are kept, and those in use are among them.
func TestVerdictsAreBounded(t *testing.T) {
	const max = 320
	var s verdicts
	now := time.Now()
	v := &verdict{until: now.Add(time.Minute)}
	inUse := keyNumber(-1)
	s.put(inUse, v, max)
	for i := range 10_000 {
		s.put(keyNumber(i), v, max)
		if s.get(inUse, now, 0, max) == nil {
			t.Fatalf("the one in use was forgotten after %d others", i)
		}
		if n := s.count(); n > max {
			t.Fatalf("%d are kept, at most %d may", n, max)
		}
	}
	if n := s.count(); n < max/2 {
		t.Errorf("%d are kept, at least %d should be", n, max/2)
	}
	if s.get(keyNumber(0), now, 0, max) != nil {
		t.Error("the first is still there")
	}
}

func TestVerdictsThatAreOver(t *testing.T) {
	var s verdicts
	now := time.Now()
	s.put(keyNumber(1), &verdict{until: now.Add(time.Minute), version: 7}, 100)
	if s.get(keyNumber(1), now, 7, 100) == nil {
		t.Fatal("forgotten")
	}
	if s.get(keyNumber(1), now.Add(time.Minute), 7, 100) != nil {
		t.Error("kept beyond its time")
	}
	if s.count() != 0 {
		t.Error("what is over is not forgotten")
	}
	s.put(keyNumber(1), &verdict{until: now.Add(time.Minute), version: 7}, 100)
	if s.get(keyNumber(1), now, 8, 100) != nil {
		t.Error("kept beyond its version")
	}
}
