package transport

import (
	"sync/atomic"
	"time"
)

// alarmPeriod is how long the runtime's monitor may sleep while sessions move bytes:
// as long as a goroutine may run before it is to make place for others.
const alarmPeriod = 10 * time.Millisecond

// alarm wakes the runtime's monitor while sessions move bytes by system calls that
// would not (sysmon in runtime/proc.go). The monitor stops goroutines that have run for
// long, and looks after the network when all processors are busy; it sleeps while all
// are idle, until a system call or the next timer. So there is always a timer that is
// soon due: no function that runs after a reply or a request keeps its processor for
// more than alarmPeriod longer than it would.
//
// Sessions of real sockets are not for a bubble of testing/synctest: an alarm that is set
// in one goes by its clock, and may stay set without ever going off.
//
// It goes off a hundred times a second at most, not at all while no session moves
// anything, and its goroutine does nothing that blocks.
type alarm struct {
	state atomic.Int32
	moved atomic.Bool // bytes, since it was set or last went off
}

const (
	alarmOff   = iota
	alarmSet   // its timer runs; the monitor may sleep since before, for longer
	alarmHeard // the monitor was awake after the timer was set
)

// processAlarm is one for all sessions, as the monitor is.
var processAlarm alarm

// covers reports whether the monitor sleeps for no longer than a period, and has that
// stay so for another one.
func (a *alarm) covers() bool {
	if a.state.Load() != alarmHeard {
		return false
	}
	if !a.moved.Load() { // asked first: many sessions would contend for the line
		a.moved.Store(true)
	}
	return true
}

// set sets the alarm where it is off; false where somebody has. The caller makes a
// system call that the runtime knows of next, which wakes the monitor, and calls heard.
func (a *alarm) set() bool {
	if !a.state.CompareAndSwap(alarmOff, alarmSet) {
		return false
	}
	time.AfterFunc(alarmPeriod, a.ring)
	return true
}

func (a *alarm) heard() { a.state.CompareAndSwap(alarmSet, alarmHeard) }

// ring sets the alarm anew when bytes were moved. The monitor cannot have fallen asleep
// between the two timers: while this runs, not all processors are idle.
func (a *alarm) ring() {
	if a.moved.Swap(false) {
		time.AfterFunc(alarmPeriod, a.ring)
		return
	}
	a.state.Store(alarmOff)
}
