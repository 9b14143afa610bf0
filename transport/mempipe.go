package transport

import (
	"math/rand/v2"
	"time"
)

// memPipe is one direction of a connection. Its data lies in one buffer, in
// order: first what has arrived and waits to be read, then what is under way.
// It knows times but takes none: whoever calls says what time it is. The link's
// mutex guards all of it.
type memPipe struct {
	path   MemPath
	jitter *rand.Rand // set when path.Jitter first needs it
	seed   [2]uint64

	data    []byte
	read    int // data[:read] was read
	arrived int // data[read:read+arrived] may be read

	flight  []memEvent // what is under way, in order
	lastDue time.Time  // when the newest event of all arrives
	idleAt  time.Time  // when the line has put everything on the wire; for Bandwidth

	sent       int64 // bytes taken from the writer since the beginning
	finSent    bool
	finArrived bool
}

// memEvent is something under way: bytes, or the end of them.
type memEvent struct {
	kind memEventKind
	n    int       // for memData, how many bytes
	due  time.Time // when it leaves, and once in flight when it arrives
}

type memEventKind int

const (
	memData  memEventKind = iota
	memFin                // end of stream
	memReset              // reset by the peer: what was not read is lost
	memCut                // reset by a cut after N bytes: what was not read stays readable
)

// held is the number of bytes in the buffer, under way or unread.
func (p *memPipe) held() int { return len(p.data) - p.read }

// room is how many bytes the writer may put in now, of n that it has.
func (p *memPipe) room(n int) int {
	n = min(n, max(0, p.path.buffer()-p.held()))
	if p.path.CutAfter > 0 {
		n = int(min(int64(n), max(0, p.path.CutAfter-p.sent)))
	}
	return n
}

// put appends bytes that are about to travel.
func (p *memPipe) put(b []byte) {
	if p.read == len(p.data) {
		p.data, p.read = p.data[:0], 0
	}
	// Moving less than half would make small writes into a full buffer slow.
	if p.read > len(p.data)/2 && len(p.data)+len(b) > cap(p.data) {
		p.data = p.data[:copy(p.data, p.data[p.read:])]
		p.read = 0
	}
	p.data = append(p.data, b...)
	p.sent += int64(len(b))
}

// take reads what has arrived.
func (p *memPipe) take(b []byte) int {
	n := copy(b, p.data[p.read:p.read+p.arrived])
	p.read += n
	p.arrived -= n
	return n
}

// setPath changes the line. What a black hole held arrives when it is lifted.
func (p *memPipe) setPath(path MemPath, now time.Time) {
	if p.path.Blackhole && !path.Blackhole {
		for i := range p.flight {
			if p.flight[i].due.Before(now) {
				p.flight[i].due = now
			}
		}
	}
	p.path = path
}

// launch puts an event under way; it leaves at ev.due.
func (p *memPipe) launch(ev memEvent) {
	due := ev.due
	if p.path.Bandwidth > 0 {
		if p.idleAt.After(due) {
			due = p.idleAt
		}
		seconds := float64(ev.n) / float64(p.path.Bandwidth)
		due = due.Add(time.Duration(seconds * float64(time.Second)))
		p.idleAt = due
	}
	due = due.Add(max(p.path.Latency, 0) + p.drawJitter())
	if p.lastDue.After(due) {
		due = p.lastDue
	}
	ev.due, p.lastDue = due, due
	p.flight = append(p.flight, ev)
}

func (p *memPipe) drawJitter() time.Duration {
	if p.path.Jitter <= 0 {
		return 0
	}
	if p.jitter == nil {
		p.jitter = rand.New(rand.NewPCG(p.seed[0], p.seed[1]))
	}
	return time.Duration(p.jitter.Int64N(int64(p.path.Jitter) + 1))
}

// next tells when the oldest event arrives; false when nothing will.
func (p *memPipe) next() (time.Time, bool) {
	if len(p.flight) == 0 || p.path.Blackhole {
		return time.Time{}, false
	}
	return p.flight[0].due, true
}

// land takes the oldest event out of the flight.
func (p *memPipe) land() memEvent {
	ev := p.flight[0]
	p.flight = p.flight[1:]
	if len(p.flight) == 0 {
		p.flight = nil
	}
	return ev
}

// discardArrived loses what has arrived and was not read.
func (p *memPipe) discardArrived() {
	p.read += p.arrived
	p.arrived = 0
}

// discardAll loses everything.
func (p *memPipe) discardAll() {
	p.data, p.read, p.arrived = nil, 0, 0
	p.flight = nil
}
