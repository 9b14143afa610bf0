package transport

import (
	"sync"
	"time"
)

// idleWorkerLife is how long a worker waits for work before it ends. A warm
// goroutine has a stack of the size that handlers need.
const idleWorkerLife = 10 * time.Second

// Workers is a set of goroutines that run what sessions hand them: handlers
// above all. It grows as needed (sessions bound the requests in flight) and
// shrinks when idle. Its zero value is ready; Close ends it. All methods may run
// concurrently.
type Workers struct {
	wg sync.WaitGroup // every worker

	overseer overseer

	mu     sync.Mutex
	idle   []*worker   // most recently used last
	spared int         // the least length of idle since the last trim
	trim   *time.Timer // runs while workers are idle
	closed bool
}

type worker struct {
	next chan func() // closed: end
}

// Go runs f on an idle worker or a new one. It does not wait. After Close it
// still runs f, on a goroutine that Close no longer waits for.
func (w *Workers) Go(f func()) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		idle := w.idle[n-1]
		w.idle[n-1] = nil
		w.idle = w.idle[:n-1]
		w.spared = min(w.spared, n-1)
		w.mu.Unlock()
		idle.next <- f
		return
	}
	if w.closed {
		w.mu.Unlock()
		go f()
		return
	}
	w.wg.Add(1)
	w.mu.Unlock()
	go w.run(&worker{next: make(chan func(), 1)}, f)
}

func (w *Workers) run(self *worker, f func()) {
	defer w.wg.Done()
	for {
		f()
		if !w.park(self) {
			return
		}
		var ok bool
		if f, ok = <-self.next; !ok {
			return
		}
	}
}

// park puts the worker among the idle ones, false when it is to end.
func (w *Workers) park(self *worker) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.idle = append(w.idle, self)
	if w.trim == nil {
		w.spared = len(w.idle)
		w.trim = time.AfterFunc(idleWorkerLife, w.trimIdle)
	}
	return true
}

// trimIdle ends the workers that were idle for the whole last interval.
func (w *Workers) trimIdle() {
	w.mu.Lock()
	n := w.spared
	gone := append([]*worker(nil), w.idle[:n]...)
	w.idle = append(w.idle[:0], w.idle[n:]...)
	w.spared = len(w.idle)
	if len(w.idle) > 0 && !w.closed {
		w.trim.Reset(idleWorkerLife)
	} else {
		w.trim = nil
		w.idle = nil
	}
	w.mu.Unlock()
	for _, g := range gone {
		close(g.next)
	}
}

// Close ends the idle workers, waits until the busy ones have finished, and
// returns when none is left. It may be called more than once.
func (w *Workers) Close() {
	w.mu.Lock()
	if !w.closed && w.overseer.running {
		close(w.overseer.closing)
	}
	w.closed = true
	w.overseer.closed.Store(true)
	gone := w.idle
	w.idle, w.spared = nil, 0
	if w.trim != nil {
		w.trim.Stop()
		w.trim = nil
	}
	w.mu.Unlock()
	for _, g := range gone {
		close(g.next)
	}
	w.wg.Wait()
}
