package transport

import (
	"math"
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
	closed   atomic.Bool // the Workers are: no turn begins any more

	// Guarded by the mu of the Workers:
	running bool
	owned   bool          // it is counted by the Workers
	closing chan struct{} // closed with the Workers; nil until it runs
	turns   []*Session    // whose readers have begun a turn that is not over
}

// mostForReaders is how much may wait for a reader to serve it.
func (o *overseer) mostForReaders() int32 {
	switch {
	case o.closed.Load():
		return 0
	case o.parallel.Load():
		return turnBacklog
	}
	return math.MaxInt32
}

// oversee has the overseer look after the turn of the reader of s until it is over.
func (w *Workers) oversee(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := &w.overseer
	o.turns = append(o.turns, s)
	if o.running {
		return
	}
	closing := make(chan struct{})
	o.running, o.owned, o.closing = true, !w.closed, closing
	if !o.owned { // as in Go
		go w.lookAfterTurns(closing)
		return
	}
	w.wg.Go(func() { w.lookAfterTurns(closing) })
}

// wait counts one more goroutine to be waited for. It returns nil where Close may have
// returned already.
func (w *Workers) wait() *sync.WaitGroup {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed && !(w.overseer.running && w.overseer.owned) {
		return nil
	}
	w.wg.Add(1)
	return &w.wg
}

// lookAfterTurns is the overseer. It ends when no reader has a turn.
func (w *Workers) lookAfterTurns(closing <-chan struct{}) {
	var looked []*Session
	o := &w.overseer
	for {
		o.parallel.Store(runtime.GOMAXPROCS(0) > 2)
		tick := time.NewTimer(overseerTick)
		select {
		case <-tick.C:
		case <-closing:
			tick.Stop()
			closing = nil
		}

		w.mu.Lock()
		looked, o.turns = o.turns, looked[:0]
		w.mu.Unlock()

		kept := looked[:0]
		for _, s := range looked {
			if !s.lookAtTurn(o.closed.Load()) {
				kept = append(kept, s)
			}
		}
		clear(looked[len(kept):])

		w.mu.Lock()
		o.turns = append(o.turns, kept...)
		if len(o.turns) == 0 {
			o.running, o.turns = false, nil
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		clear(looked)
	}
}
