package transport

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// The two sides of a link; pipes[side] carries what ends[side] writes.
const (
	dialerSide   = 0
	listenerSide = 1
)

// memLink is a connection of a MemNetwork, with both its ends.
//
// Nothing runs in the background. What is under way carries the time at which
// it arrives; every operation first lets arrive what is due. While an operation
// waits, one timer is set to the next instant at which anything changes.
// That timer's function is the only thing of a link that runs on a goroutine
// other than its callers', and it waits for nothing but the mutex.
type memLink struct {
	network *MemNetwork
	addr    string // the listener's
	id      uint64 // number in its network, from 1

	mu sync.Mutex
	// Guarded by mu.
	ends      [2]memEnd
	pipes     [2]memPipe
	timer     *time.Timer // nil until something waits for an instant
	armed     time.Time   // when timer is to fire; zero after it did
	ownFaults bool        // set on this connection: the network's do not count
}

// memEnd is one end of a link: what its user did, and what became of it.
type memEnd struct {
	closed        bool // by its user
	reset         bool // a reset has arrived
	readDeadline  time.Time
	writeDeadline time.Time
	readable      sync.Cond // Read may have something to return
	writable      sync.Cond // so may Write
	writing       bool      // a Write is half done
}

func newMemLink(n *MemNetwork, addr string, id uint64, f MemFaults) *memLink {
	l := &memLink{network: n, addr: addr, id: id}
	for side := range l.ends {
		l.ends[side].readable.L = &l.mu
		l.ends[side].writable.L = &l.mu
		l.pipes[side].seed = [2]uint64{f.Seed, 2*id + uint64(side)}
	}
	l.pipes[dialerSide].path = f.ToListener
	l.pipes[listenerSide].path = f.ToDialer
	return l
}

// read fills b with what has arrived at a side, waiting for it if need be.
func (l *memLink) read(side int, b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		l.advance()
		n, err, done := l.tryRead(side, b)
		if done {
			return n, err
		}
		l.wait(&l.ends[side].readable, l.ends[side].readDeadline)
	}
}

func (l *memLink) tryRead(side int, b []byte) (n int, err error, done bool) {
	end, in := &l.ends[side], &l.pipes[1-side]
	switch {
	case end.closed:
		return 0, net.ErrClosed, true
	case expired(end.readDeadline):
		return 0, os.ErrDeadlineExceeded, true
	case len(b) == 0:
		return 0, nil, true
	case in.arrived > 0 && in.path.Stall:
		return 0, nil, false
	case in.arrived > 0:
		n = in.take(b)
		l.ends[1-side].writable.Broadcast()
		return n, nil, true
	case end.reset:
		return 0, os.NewSyscallError("read", syscall.ECONNRESET), true
	case in.finArrived && !in.path.Stall:
		return 0, io.EOF, true
	}
	return 0, nil, false
}

// write hands over all of b, waiting for room if need be, and for the Write of
// another goroutine to end: the bytes of one Write stay together.
func (l *memLink) write(side int, b []byte) (total int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, mine := &l.ends[side], false
	defer func() {
		if mine {
			end.writing = false
			end.writable.Broadcast()
		}
	}()
	for {
		l.advance()
		if err := l.writeError(side); err != nil {
			return total, err
		}
		n := 0
		if mine || !end.writing {
			mine, end.writing = true, true
			n = l.accept(side, b[total:])
			total += n
			if total == len(b) {
				return total, nil
			}
		}
		if n == 0 {
			l.wait(&end.writable, end.writeDeadline)
		}
	}
}

// tryWrite hands over as much of b as there is room for: nothing while a Write
// is half done.
func (l *memLink) tryWrite(side int, b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	if err := l.writeError(side); err != nil || l.ends[side].writing {
		return 0, err
	}
	return l.accept(side, b), nil
}

// accept takes as much of b as there is room for, and cuts the connection where
// its path says so.
func (l *memLink) accept(side int, b []byte) int {
	out := &l.pipes[side]
	n := out.room(len(b))
	if n > 0 {
		out.put(b[:n])
		l.launch(side, memEvent{kind: memData, n: n})
		l.cutWhereDue(side)
	}
	return n
}

func (l *memLink) writeError(side int) error {
	end := &l.ends[side]
	switch {
	case end.closed:
		return net.ErrClosed
	case expired(end.writeDeadline):
		return os.ErrDeadlineExceeded
	case end.reset:
		return os.NewSyscallError("write", syscall.ECONNRESET)
	case l.pipes[side].finSent:
		return os.NewSyscallError("write", syscall.EPIPE)
	}
	return nil
}

func expired(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

// closeWrite ends one direction.
func (l *memLink) closeWrite(side int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	end := &l.ends[side]
	switch {
	case end.closed:
		return net.ErrClosed
	case end.reset:
		return os.NewSyscallError("shutdown", syscall.ECONNRESET)
	}
	l.sendFin(side)
	end.writable.Broadcast()
	return nil
}

// close ends one side: orderly, or with a reset when it is told to or has not
// read everything that arrived, as TCP does (RFC 2525, section 2.17).
func (l *memLink) close(side int, abort bool) error {
	l.mu.Lock()
	end, in := &l.ends[side], &l.pipes[1-side]
	if end.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.advance()
	end.closed = true
	switch {
	case end.reset: // the peer knows, or is the one who did it
	case abort || in.arrived > 0:
		l.launch(side, memEvent{kind: memReset})
	default:
		l.sendFin(side)
	}
	in.discardArrived()
	end.readable.Broadcast()
	end.writable.Broadcast()
	over := l.ends[1-side].closed
	if over && l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()

	if over { // without mu: the network's mutex comes first
		l.network.forgetLink(l)
	}
	return nil
}

// abandon closes a connection that nobody was given.
func (l *memLink) abandon() {
	l.close(dialerSide, true)
	l.close(listenerSide, true)
}

// cut resets both ends now, whatever the faults hold back.
func (l *memLink) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	for side := range l.ends {
		l.ends[side].reset = true
		l.pipes[side].discardAll()
	}
	l.wakeAll()
}

func (l *memLink) setDeadline(side int, t time.Time, read, write bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := &l.ends[side]
	if end.closed {
		return net.ErrClosed
	}
	if read {
		end.readDeadline = t
		end.readable.Broadcast()
	}
	if write {
		end.writeDeadline = t
		end.writable.Broadcast()
	}
	return nil
}

// inheritFaults sets the network's faults, where the connection has none of
// its own.
func (l *memLink) inheritFaults(f MemFaults) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ownFaults {
		l.setFaultsLocked(f)
	}
}

func (l *memLink) setOwnFaults(f MemFaults) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ownFaults = true
	l.setFaultsLocked(f)
}

func (l *memLink) setFaultsLocked(f MemFaults) {
	l.advance() // what is due by now arrives even if a black hole opens
	now := time.Now()
	for side, path := range [...]MemPath{dialerSide: f.ToListener, listenerSide: f.ToDialer} {
		l.pipes[side].setPath(path, now)
		l.pipes[side].seed[0] = f.Seed
		l.cutWhereDue(side)
	}
	l.wakeAll()
}

// launch lets an event leave a side at ev.due, or now when that is zero.
func (l *memLink) launch(from int, ev memEvent) {
	out := &l.pipes[from]
	if out.path.instant() && len(out.flight) == 0 {
		l.deliver(from, ev)
		return
	}
	if ev.due.IsZero() {
		ev.due = time.Now()
	}
	out.launch(ev)
	// Whoever waits already did not know of this.
	if due := out.lastDue; l.armed.IsZero() || due.Before(l.armed) {
		l.arm(due)
	}
}

func (l *memLink) sendFin(side int) {
	if p := &l.pipes[side]; !p.finSent {
		p.finSent = true
		l.launch(side, memEvent{kind: memFin})
	}
}

// cutWhereDue resets the connection if a side has written all that its path
// lets pass: that side at once, the other behind those bytes.
func (l *memLink) cutWhereDue(side int) {
	end, out := &l.ends[side], &l.pipes[side]
	if out.path.CutAfter <= 0 || out.sent < out.path.CutAfter || end.reset || end.closed {
		return
	}
	l.resetEnd(side)
	l.pipes[1-side].discardAll()
	l.launch(side, memEvent{kind: memCut})
}

// advance lets everything arrive that is due by now, in the order of time.
// What arrives may itself make something leave, at the time it arrives.
func (l *memLink) advance() {
	if len(l.pipes[0].flight) == 0 && len(l.pipes[1].flight) == 0 {
		return
	}
	now := time.Now()
	for {
		from, due, ok := l.nextArrival()
		if !ok || due.After(now) {
			return
		}
		l.deliver(from, l.pipes[from].land())
	}
}

// nextArrival tells what arrives next: from which side, and when.
func (l *memLink) nextArrival() (from int, due time.Time, ok bool) {
	for side := range l.pipes {
		if t, some := l.pipes[side].next(); some && (!ok || t.Before(due)) {
			from, due, ok = side, t, true
		}
	}
	return from, due, ok
}

// deliver lets an event arrive at the side opposite to from, at ev.due.
func (l *memLink) deliver(from int, ev memEvent) {
	in, to := &l.pipes[from], 1-from
	end := &l.ends[to]
	switch ev.kind {
	case memData:
		in.arrived += ev.n
		if end.closed || end.reset {
			in.discardArrived()
			l.ends[from].writable.Broadcast()
		}
		if end.closed && !end.reset {
			// Nobody will ever read this, and TCP says so.
			l.launch(to, memEvent{kind: memReset, due: ev.due})
		}
	case memFin:
		in.finArrived = true
	case memReset, memCut:
		if end.closed || end.reset {
			break
		}
		if ev.kind == memReset {
			in.discardArrived()
		}
		l.resetEnd(to)
		l.pipes[to].discardAll()
	}
	end.readable.Broadcast()
}

// resetEnd makes one end see a reset.
func (l *memLink) resetEnd(side int) {
	end := &l.ends[side]
	end.reset = true
	end.readable.Broadcast()
	end.writable.Broadcast()
}

// wait blocks until cond is signalled, which happens at the latest at the next
// instant at which an event arrives or a deadline passes, the waiter's own
// included. It is the only place where an operation of a link blocks.
func (l *memLink) wait(cond *sync.Cond, deadline time.Time) {
	now := time.Now()
	if !deadline.IsZero() && !now.Before(deadline) {
		return // it passed since the caller looked
	}
	if !l.armed.IsZero() && !now.Before(l.armed) {
		l.wakeAll()           // the timer is due, and about to be moved away from them
		l.armed = time.Time{} // once: those woken come here too, and would wake each other for ever
	}
	if next, ok := l.nextChange(now); ok {
		l.arm(next)
	}
	cond.Wait()
}

// arm sets the timer to fire at an instant, at once if that is past.
func (l *memLink) arm(at time.Time) {
	l.armed = at
	d := time.Until(at)
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.tick)
		return
	}
	l.timer.Reset(d)
}

// tick wakes everybody who waits; they look at the clock themselves.
func (l *memLink) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = time.Time{}
	l.advance()
	l.wakeAll()
}

func (l *memLink) wakeAll() {
	for side := range l.ends {
		l.ends[side].readable.Broadcast()
		l.ends[side].writable.Broadcast()
	}
}

// nextChange tells when anything happens next by itself.
func (l *memLink) nextChange(now time.Time) (time.Time, bool) {
	_, next, ok := l.nextArrival()
	for side := range l.ends {
		end := &l.ends[side]
		for _, t := range [...]time.Time{end.readDeadline, end.writeDeadline} {
			if t.After(now) && (!ok || t.Before(next)) {
				next, ok = t, true
			}
		}
	}
	return next, ok
}
