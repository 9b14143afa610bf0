package transport

import "sync"

// taskQueue holds admitted tasks in the order of their arrival until a worker
// takes them, or the reader does. While it is not empty, at least one worker is awake
// that will look at it: so one worker serves a burst of quick requests by itself,
// and one that blocks has woken another before. While the reader serves, none need
// be awake: the overseer wakes one when the reader does not come back. The zero
// value is ready.
type taskQueue struct {
	mu sync.Mutex
	// Guarded by mu:
	ring      []queuedTask  // a power of two long, or nil
	first     int32         // ring[first] has waited longest
	waiting   int32         // how many wait
	bytes     int           // of their bodies
	searchers int32         // workers awake that will look at the queue
	eased     chan struct{} // closed when bytes is down to half of maxAhead; nil while nobody waits
	turn      *readerTurn   // that the overseer looks after; nil: none
}

type queuedTask struct {
	task Task
	size int
}

// maxAhead is how many bytes of bodies the reader may be ahead of the workers.
// The queue is that long only while the processor is busy: a task leaves it when
// a worker runs, whatever handlers wait for. Reading on would then fill memory
// and caches with what nobody has time for.
const maxAhead = 512 << 10

const (
	firstQueue = 1
	// keptQueue is the length above which an empty queue lets its ring go, for the
	// next burst, on whichever session.
	keptQueue = 256
)

var queueRings sync.Pool // of *[]queuedTask: empty, longer than keptQueue

// server says who is to look at what waits.
type server int

const (
	nobody    server = iota // nothing waits, or a worker is awake that will
	aWorker                 // one must be woken
	theReader               // as far as that is quick: nothing waited before, and the connection is busy
)

// push adds a batch. It returns who must look at it now. busy says that the one before
// came shortly before.
func (q *taskQueue) push(batch []inTask, busy bool) server {
	if len(batch) == 0 {
		return nobody
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	caughtUp := q.waiting == 0
	for _, t := range batch {
		if int(q.waiting) == len(q.ring) {
			q.grow()
		}
		q.ring[int(q.first+q.waiting)&(len(q.ring)-1)] = queuedTask{t.task, t.size}
		q.waiting++
		q.bytes += t.size
	}
	switch {
	case q.searchers > 0:
		return nobody
	case caughtUp && (busy || len(batch) >= burst):
		return theReader
	}
	return aWorker
}

// needWorker reports whether a worker must be woken, which then begins with
// pop(false).
func (q *taskQueue) needWorker() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.needWorkerLocked()
}

func (q *taskQueue) needWorkerLocked() bool {
	if q.waiting == 0 || q.searchers > 0 {
		return false
	}
	q.searchers++
	return true
}

// pop gives a worker its next task, nil when there is none. ran says that the
// worker comes back from a task. another says that one more worker must be
// woken, since this one is about to be busy.
func (q *taskQueue) pop(ran bool) (t Task, another bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ran {
		q.searchers++
	}
	q.searchers--
	if q.waiting == 0 {
		return nil, false
	}
	t = q.take()
	return t, q.needWorkerLocked()
}

// take removes the task that has waited longest, with mu held.
func (q *taskQueue) take() Task {
	longest := &q.ring[q.first]
	t := longest.task
	q.bytes -= longest.size
	*longest = queuedTask{}
	q.first = (q.first + 1) & int32(len(q.ring)-1)
	q.waiting--
	if q.eased != nil && q.bytes <= maxAhead/2 {
		close(q.eased)
		q.eased = nil
	}
	if q.waiting == 0 && len(q.ring) > keptQueue {
		ring := q.ring
		queueRings.Put(&ring)
		q.ring, q.first = nil, 0
	}
	return t
}

// grow makes room for more tasks, with mu held.
func (q *taskQueue) grow() {
	old, length := q.ring, max(firstQueue, 2*len(q.ring))
	q.ring = nil
	if length > keptQueue {
		if r, ok := queueRings.Get().(*[]queuedTask); ok && len(*r) >= length {
			q.ring = *r
		}
	}
	if q.ring == nil {
		q.ring = make([]queuedTask, length)
	}
	n := copy(q.ring, old[q.first:])
	copy(q.ring[n:], old[:q.first])
	q.first = 0
}

// ahead returns a channel that is closed when the workers have caught up, nil
// when the reader is not too far ahead of them.
func (q *taskQueue) ahead() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes <= maxAhead {
		return nil
	}
	if q.eased == nil {
		q.eased = make(chan struct{})
	}
	return q.eased
}
