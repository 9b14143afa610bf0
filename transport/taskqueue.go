package transport

import "sync"

// taskQueue holds admitted tasks in the order of their arrival until a worker
// takes them. While it is not empty, at least one worker is awake that will
// look at it: so one worker serves a burst of quick requests by itself, and one
// that blocks has woken another before. The zero value is ready.
type taskQueue struct {
	mu sync.Mutex
	// Guarded by mu:
	tasks     []Task
	next      int // tasks[next:] are waiting
	searchers int // workers awake that will look at the queue
}

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
		q.tasks = append(q.tasks, t.task)
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
	t = q.tasks[q.next]
	q.tasks[q.next] = nil
	q.next++
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
