package transport

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// overseerTick is how often the overseer looks. A task that is slow where it was taken
// for quick holds its session for at most twice as long.
const overseerTick = 4 * time.Millisecond

// overseer finds the readers that do not come back from a task that was taken for
// quick, as the Go runtime's monitor finds system calls: others get on in their place
// then. It is one goroutine for all sessions of some Workers, and runs only while a
// reader of them serves.
type overseer struct {
	parallel atomic.Bool // there are processors for workers beside readers

	// Guarded by the mu of the Workers:
	running bool
	turns   []*Session // whose readers have begun a turn that is not over
}

// oversee has the overseer look after the turn of the reader of s until it is over.
func (w *Workers) oversee(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.overseer.turns = append(w.overseer.turns, s)
	if w.overseer.running {
		return
	}
	w.overseer.running = true
	if w.closed { // as in Go
		go w.lookAfterTurns(nil)
		return
	}
	w.wg.Add(1)
	go func() {
		defer w.wg.Done()
		w.lookAfterTurns(&w.wg)
	}()
}

// lookAfterTurns is the overseer. It ends when no reader has a turn. Who waits for it
// waits in waited.
func (w *Workers) lookAfterTurns(waited *sync.WaitGroup) {
	var looked []*Session
	for {
		w.overseer.parallel.Store(runtime.GOMAXPROCS(0) > 2)
		time.Sleep(overseerTick)

		w.mu.Lock()
		looked, w.overseer.turns = w.overseer.turns, looked[:0]
		w.mu.Unlock()

		kept := looked[:0]
		for _, s := range looked {
			if !s.lookAtTurn(waited) {
				kept = append(kept, s)
			}
		}
		clear(looked[len(kept):])

		w.mu.Lock()
		w.overseer.turns = append(w.overseer.turns, kept...)
		if len(w.overseer.turns) == 0 {
			w.overseer.running = false
			w.overseer.turns = nil
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		clear(looked)
	}
}
