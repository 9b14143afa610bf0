package transport

import (
	"sync"
	"time"
)

const (
	// hotGap is how soon after the last read one must come, and hotBurst how many
	// requests it must bring, for the reader to serve them: with less to do the waking
	// of a worker costs nobody anything, and the larger stack that a handler needs is
	// not made for thousands of connections of which each has a call now and then.
	hotGap   = time.Millisecond
	hotBurst = 4
	// turnBacklog is how long the queue may be for the reader to serve it, where
	// there are processors for workers.
	turnBacklog = 32
	// corkedFor is how long the answers of a turn wait for those behind them, to be
	// written together: longer would leave the peer idle. The clock is looked at, and
	// the outbox corked again where that much was queued that it was written all the
	// same, every corkedTasks.
	corkedFor   = 250 * time.Microsecond
	corkedTasks = 16
)

// readerTurn is a time in which the reader runs tasks that are taken for quick:
// waking workers for them costs more than they do. When one takes long after all, the
// overseer ends the turn: another goroutine goes on reading, and the one that was
// the reader only finishes that task. The queue's mu guards it.
type readerTurn struct {
	running     bool            // the reader is at a task; else it reads
	taken, seen uint32          // how many tasks it took, and how many at the overseer's last look
	latest      *Pace           // of the task that it took last
	waited      *sync.WaitGroup // where who was the reader is counted, once the turn was ended
}

// quickJob is what the reader gets of the queue.
type quickJob struct {
	task    Task        // nil: nothing for the reader
	turn    *readerTurn // that it belongs to
	alone   bool        // nothing waits behind it
	oversee bool        // the overseer must be told of the session
	wake    bool        // a worker must be woken for what waits
	ended   bool        // the turn was ended: somebody else reads
}

// nextQuick gives the reader its next task, if one is quick and no worker is awake
// to take it. turn is that of the one that it comes back from, nil at first. parallel
// says that a long queue is better left to workers.
func (q *taskQueue) nextQuick(turn *readerTurn, parallel bool) (j quickJob) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if turn != nil {
		if turn != q.turn {
			return quickJob{ended: true}
		}
		turn.running = false
	}
	if q.waiting == 0 || q.searchers > 0 {
		return quickJob{}
	}
	longest := &q.ring[q.first]
	pace := longest.task.Pace()
	if !pace.quick(longest.size) || parallel && q.waiting > turnBacklog {
		return quickJob{wake: q.needWorkerLocked()}
	}
	if q.turn == nil {
		q.turn, j.oversee = new(readerTurn), true
	}
	j.turn = q.turn
	j.turn.running, j.turn.latest = true, pace
	j.turn.taken++
	j.task = q.take()
	j.alone = q.waiting == 0
	return j
}

// busy reports whether there is so much to do that the reader should serve.
func (in *inbound) busy() bool {
	return in.hot || in.batch != nil && len(in.batch.tasks) >= hotBurst
}

// serveHere serves what waits, on the reader as far as that is quick: the first task
// that is not, and what waits behind it, go to a worker. It sets left, and returns
// true, when somebody else is the reader now: this goroutine must touch nothing of
// the reader's any more.
func (s *Session) serveHere(left *bool) bool {
	workers := s.cfg.Workers
	parallel := workers.overseer.parallel.Load()
	j := s.queue.nextQuick(nil, parallel)
	if j.task != nil {
		j = s.serveQuick(j, parallel, left)
	}
	if j.wake {
		workers.Go(s.work)
	}
	return *left
}

// serveQuick runs j and the quick tasks behind it, and returns the job without a task
// that ended this.
func (s *Session) serveQuick(j quickJob, parallel bool, left *bool) quickJob {
	var cork turnCork
	returned := true
	defer func() {
		cork.lift(s)
		if !returned { // runtime.Goexit
			*left = true
			s.leaveTurn(j.turn)
		}
	}()
	for j.task != nil {
		if j.oversee {
			s.cfg.Workers.oversee(s)
		}
		if !j.alone || cork.tasks > 0 {
			cork.next(s)
		}
		returned = false
		j.task.Run()
		returned = true
		turn := j.turn
		if j = s.queue.nextQuick(turn, parallel); j.ended {
			*left = true
			s.leaveTurn(turn)
		}
	}
	return j
}

// turnCork has the answers of a turn written together. The zero value holds nothing
// back.
type turnCork struct {
	tasks int       // whose answers are held back, or were
	since time.Time // when the first of them was begun
}

// next holds the answer of one more task back.
func (c *turnCork) next(s *Session) {
	if c.tasks%corkedTasks == 0 {
		now := time.Now()
		if c.tasks > 0 && now.Sub(c.since) >= corkedFor {
			c.lift(s)
		}
		if c.tasks == 0 {
			c.since = now
		}
		s.cork()
	}
	c.tasks++
}

// lift lets go of what is held back.
func (c *turnCork) lift(s *Session) {
	if c.tasks > 0 {
		c.tasks = 0
		s.uncork()
	}
}

// leaveTurn is for a reader that reads no more: it leaves that to a new one, unless
// the overseer did so.
func (s *Session) leaveTurn(turn *readerTurn) {
	q := &s.queue
	q.mu.Lock()
	ended := turn != q.turn
	turn.running = false
	wake := !ended && q.needWorkerLocked()
	q.mu.Unlock()
	switch {
	case !ended:
		go s.readLoop() // counted as this one was
	case turn.waited != nil:
		turn.waited.Done()
	}
	if wake {
		s.cfg.Workers.Go(s.work)
	}
}

// look is the overseer's: it ends a turn in which no task was taken since the last
// look. stuck says that this is because the reader is at one still: it is counted in
// waited from now on. wake says that a worker must be woken for what waits.
func (q *taskQueue) look(waited *sync.WaitGroup) (over, stuck, wake bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	turn := q.turn
	if turn.taken != turn.seen {
		turn.seen = turn.taken
		return false, false, false
	}
	q.turn = nil
	if !turn.running {
		return true, false, false
	}
	turn.latest.stuck()
	if waited != nil {
		waited.Add(1)
		turn.waited = waited
	}
	return true, true, q.needWorkerLocked()
}

// lookAtTurn looks after the reader's turn. It returns true when that is over; where
// it is because of a task that takes long, others get on.
func (s *Session) lookAtTurn(waited *sync.WaitGroup) (over bool) {
	over, stuck, wake := s.queue.look(waited)
	if stuck {
		go s.readLoop() // counted as who was the reader
		s.uncork()
	}
	if wake {
		s.cfg.Workers.Go(s.work)
	}
	return over
}
