package transport

import (
	"sync"
	"time"
)

const (
	// A connection is busy when a read brings something less than busyFor after the one
	// before, or burst requests at once. On others the reader serves nothing: for a call
	// now and then it matters little who does, and the larger stack that a handler
	// needs would be made for thousands of them.
	busyFor = time.Millisecond
	burst   = 4
	// turnBacklog is how long the queue may be for the reader to serve it, where
	// there are processors for workers.
	turnBacklog = 32
	// turnAtMost is how long a turn goes on, and mostBehind how long turns do while the
	// socket is never empty. What is not served then is left to workers, so that the
	// reader finds out what came meanwhile: deadlines count from there, and cancels are
	// behind what they cancel. A socket that does not say so was empty when a read took
	// longer than emptyFor.
	turnAtMost = time.Millisecond
	mostBehind = 4 * time.Millisecond
	emptyFor   = 50 * time.Microsecond
	// corkedFor is how long the answers of a turn wait for those behind them, to be
	// written together: longer would leave the peer idle.
	corkedFor = 250 * time.Microsecond
	// turnLook is how many tasks of a turn come on a look at the clock. The outbox is
	// then corked again, if so much was queued that it was written all the same.
	turnLook = 4
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
// to take it. turn is that of the one that it comes back from, nil at first. most is
// how much may wait for the reader to serve; what is more goes to workers.
func (q *taskQueue) nextQuick(turn *readerTurn, most int32) (j quickJob) {
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
	if !pace.quick(longest.size) || q.waiting > most {
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

// has reports whether the turn goes on.
func (q *taskQueue) has(turn *readerTurn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.turn == turn
}

// serveHere serves what waits, on the reader as far as that is quick: the first task
// that is not, and what waits behind it, go to a worker. It sets left, and returns
// true, when somebody else is the reader now: this goroutine must touch nothing of
// the reader's any more.
func (s *Session) serveHere(left *bool) bool {
	s.in.stow() // a handler that takes long after all holds no buffer of the reader's
	t := turnAtWork{s: s, most: s.cfg.Workers.overseer.mostForReaders()}
	j := s.queue.nextQuick(nil, t.most)
	if j.task != nil {
		j = t.serve(j, left)
	}
	if j.wake {
		s.cfg.Workers.Go(s.work)
	}
	return *left
}

// turnAtWork is what the reader knows of its turn. Its answers are held back, to be
// written together.
type turnAtWork struct {
	s    *Session
	most int32 // see nextQuick

	looked int       // tasks that others were behind, or are
	begun  time.Time // when the first of them was begun
	corked time.Time // when the outbox was corked; zero: it is not
}

// serve runs j and the quick tasks behind it, and returns the job without a task
// that ended this.
func (t *turnAtWork) serve(j quickJob, left *bool) quickJob {
	s, returned := t.s, true
	s.serving.Store(true)
	defer func() {
		t.uncork()
		if *left = !returned || j.ended; *left {
			s.leaveTurn(j.turn)
			return
		}
		s.serving.Store(false)
		if t.begun.IsZero() {
			s.in.behind += quickTask // one task, which the clock was not read for
		} else {
			s.in.behind += time.Since(t.begun)
		}
	}()
	for j.task != nil {
		if j.oversee {
			s.cfg.Workers.oversee(s)
		}
		if !j.alone || t.looked > 0 {
			t.look(j.turn)
		}
		returned = false // runtime.Goexit
		j.task.Run()
		returned = true
		turn := j.turn
		j = s.queue.nextQuick(turn, t.most)
		j.turn = turn
	}
	return j
}

// look holds back the answer of one more task.
func (t *turnAtWork) look(turn *readerTurn) {
	t.looked++
	if t.looked%turnLook != 1 {
		return
	}
	now := time.Now()
	if t.begun.IsZero() {
		t.begun = now
	}
	if now.Sub(t.begun) >= turnAtMost {
		t.most = 0
	}
	if !t.corked.IsZero() && now.Sub(t.corked) >= corkedFor {
		t.uncork()
	}
	if t.corked.IsZero() {
		t.corked = now
	}
	t.s.cork()
	if !t.s.queue.has(turn) { // it was ended meanwhile, and nobody would lift the cork while the task runs
		t.s.uncork()
	}
}

// uncork lets go of the answers that are held back.
func (t *turnAtWork) uncork() {
	if !t.corked.IsZero() {
		t.corked = time.Time{}
		t.s.uncork()
	}
}

// leaveTurn is for a reader that reads no more: it leaves that to a new one, unless
// that was done.
func (s *Session) leaveTurn(turn *readerTurn) {
	q := &s.queue
	q.mu.Lock()
	ended := turn != q.turn
	turn.running = false
	wake := !ended && q.needWorkerLocked()
	q.mu.Unlock()
	if wake {
		s.cfg.Workers.Go(s.work)
	}
	switch {
	case !ended:
		s.anotherReads(turnAtMost)
	case turn.waited != nil:
		turn.waited.Done()
	}
}

// leaveToAnother ends the turn of a reader that may be about to wait for what it would
// have to read itself, or for the peer: others get on at once. It may run
// concurrently.
func (s *Session) leaveToAnother() {
	if !s.serving.Load() {
		return
	}
	q := &s.queue
	q.mu.Lock()
	if q.turn == nil || !q.turn.running {
		q.mu.Unlock()
		return
	}
	q.turn.waited = s.cfg.Workers.wait()
	q.turn = new(readerTurn) // the overseer goes on with it
	wake := q.needWorkerLocked()
	q.mu.Unlock()
	if wake {
		s.cfg.Workers.Go(s.work)
	}
	s.anotherReads(turnAtMost)
}

// anotherReads is for who has ended a turn in which the reader is at a task. The turn
// has taken so long at most.
func (s *Session) anotherReads(took time.Duration) {
	s.serving.Store(false)
	s.in.behind += took
	go s.readLoop() // counted as who was the reader
	s.uncork()
}

// lookAtTurn is the overseer's. It reports whether the reader's turn is over: no task was
// taken since the last look, or after Close of the Workers, none is being run. Where
// one is being run since, others get on.
func (s *Session) lookAtTurn(closed bool) (over bool) {
	q := &s.queue
	q.mu.Lock()
	turn := q.turn
	if turn.taken != turn.seen && (turn.running || !closed) {
		turn.seen = turn.taken
		q.mu.Unlock()
		return false
	}
	q.turn = nil
	if !turn.running {
		q.mu.Unlock()
		return true
	}
	if !closed { // else it may have begun a moment ago
		turn.latest.stuck()
	}
	turn.waited = s.cfg.Workers.wait()
	wake := q.needWorkerLocked()
	q.mu.Unlock()
	if wake {
		s.cfg.Workers.Go(s.work)
	}
	s.anotherReads(2 * overseerTick)
	return true
}
