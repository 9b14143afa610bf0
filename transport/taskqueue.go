package transport

import "sync"

// taskQueue holds admitted tasks in the order of their arrival until a worker
// takes them. While it is not empty, at least one worker is awake that will
// look at it: so one worker serves a burst of quick requests by itself, and one
// that blocks has woken another before. The zero value is ready.
type taskQueue struct {
	mu sync.Mutex
	// Guarded by mu:
	tasks     []queuedTask
	next      int           // tasks[next:] are waiting
	bytes     int           // of their bodies
	searchers int           // workers awake that will look at the queue
	eased     chan struct{} // closed when bytes is down to half of maxAhead; nil while nobody waits
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

// keptQueue is the capacity above which an empty queue lets its room go.
const keptQueue = 256

// push adds a batch. It returns true when a worker must be woken, which then
// begins with pop(false).
func (q *taskQueue) push(batch []inTask) (wake bool) {
	if len(batch) == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range batch {
		q.tasks = append(q.tasks, queuedTask{t.task, t.size})
		q.bytes += t.size
	}
	if q.searchers > 0 {
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
	if q.next == len(q.tasks) {
		return nil, false
	}
	t = q.tasks[q.next].task
	q.bytes -= q.tasks[q.next].size
	q.tasks[q.next] = queuedTask{}
	q.next++
	if q.eased != nil && q.bytes <= maxAhead/2 {
		close(q.eased)
		q.eased = nil
	}
	if q.next < len(q.tasks) {
		if q.searchers > 0 {
			return t, false
		}
		q.searchers++
		return t, true
	}
	q.tasks, q.next = q.tasks[:0], 0
	if cap(q.tasks) > keptQueue {
		q.tasks = nil
	}
	return t, false
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
