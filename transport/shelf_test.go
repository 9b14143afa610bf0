package transport

import (
	"runtime"
	"testing"
	"weak"
)

const shelved = 64 << 10

// A process that holds little is collected often. What is in use keeps the
// buffers beside it alive.
func TestLargeBuffersSurviveCollectionsWhileSomeAreLent(t *testing.T) {
	held := NewBuffer(shelved)
	other := NewBuffer(shelved)
	first := &other.B[:1][0]
	other.Release()
	for range 3 {
		runtime.GC()
	}
	again := NewBuffer(shelved)
	if &again.B[:1][0] != first {
		t.Error("the buffer that lay idle was collected while another was lent")
	}
	again.Release()
	held.Release()
}

func TestIdleLargeBuffersAreCollected(t *testing.T) {
	settleShelves()
	var lent []*Buffer
	var seen []weak.Pointer[Buffer]
	for range 2 * shelfRoom / shelved {
		b := NewBuffer(shelved)
		lent, seen = append(lent, b), append(seen, weak.Make(b))
	}
	for _, b := range lent {
		b.Release()
	}
	lent = nil
	runtime.GC()
	runtime.GC()
	for _, p := range seen {
		if p.Value() != nil {
			t.Fatal("a buffer outlived two collections, though none was lent")
		}
	}
}

// What a shelf counts does not depend on what became of the buffer.
func TestShelfCountsWhatItLent(t *testing.T) {
	settleShelves()
	before := lentNow()
	for name, change := range map[string]func(b *Buffer){
		"as it was":       func(*Buffer) {},
		"a larger slice":  func(b *Buffer) { b.B = make([]byte, 0, classSize(firstShelf+1)) },
		"a smaller slice": func(b *Buffer) { b.B = make([]byte, 0, classSize(2)) },
		"a slice of none": func(b *Buffer) { b.B = make([]byte, 0, 10) },
	} {
		b := NewBuffer(shelved)
		if n := lentNow(); n != before+1 {
			t.Errorf("%s: %d lent, want %d", name, n, before+1)
		}
		change(b)
		b.Release()
		if n := lentNow(); n != before {
			t.Errorf("%s: %d lent after Release, want %d", name, n, before)
		}
	}
}

func TestLostBufferIsNoLongerLent(t *testing.T) {
	settleShelves()
	before := lentNow()
	for range 10 {
		NewBuffer(shelved).B[:1][0] = 1 // never released
	}
	for range 100 {
		runtime.GC()
		if lentNow() <= before {
			return
		}
		runtime.Gosched() // the cleanup runs on a goroutine of the runtime's
	}
	t.Errorf("%d lent, want %d: lost buffers are counted for ever", lentNow(), before)
}

func lentNow() int {
	shelves.mu.Lock()
	defer shelves.mu.Unlock()
	return shelves.classes[0].lent
}

// settleShelves waits until what other tests dropped is no longer counted.
func settleShelves() {
	for range 10 {
		runtime.GC()
		runtime.Gosched()
	}
}
