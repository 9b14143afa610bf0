package client

import (
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/transport"
)

// State is how a client stands with one provider.
type State uint8

const (
	// Idle: there is no connection, and the next call makes one.
	Idle State = iota
	// Connecting: a connection is being made; calls wait for it.
	Connecting
	// Connected: there is a connection, and calls use it.
	Connected
	// Failing: the last connection failed. Calls fail at once, with the cause,
	// until the pause before the next one is over.
	Failing
	// Closed: the client was closed, or the registry lists the provider no
	// more.
	Closed
	// Degraded: there was no sign of life for several heartbeats in a row.
	// Calls go there only where nobody else is left. There may be a connection;
	// where there is none one is made in the background. It ends with the
	// first sign of life. Only an SGClient has it: an RPCClient, which has
	// nobody else to call, ends the connection instead.
	Degraded
)

// String returns the name that logs and metrics use.
func (s State) String() string {
	switch s {
	case Idle:
		return "idle"
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Failing:
		return "failing"
	case Closed:
		return "closed"
	case Degraded:
		return "degraded"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// StateChange is what Option.OnStateChange is told.
type StateChange struct {
	// Network and Addr are the provider's.
	Network, Addr string
	// State is what it is now.
	State State
	// Breaker is what the breaker does now. A change of that alone is told with
	// the State as it was.
	Breaker BreakerState
	// Err is why: for Failing and Degraded always, for Idle when a connection
	// was lost or the provider said goaway, a *BreakerError when the breaker
	// opened; nil else.
	Err error
}

// stateHook tells a user's hook of the changes of one connection: in order,
// without a lock held, and on a worker, so that no call waits for the hook.
type stateHook struct {
	hook    func(StateChange) // nil: nobody is told
	workers *transport.Workers

	mu sync.Mutex
	// Guarded by mu:
	queue   []StateChange
	telling bool // a worker empties the queue
}

// add tells of a change soon. The caller may hold a lock.
func (h *stateHook) add(c StateChange) {
	if h.hook == nil {
		return
	}
	h.mu.Lock()
	h.queue = append(h.queue, c)
	begin := !h.telling
	h.telling = true
	h.mu.Unlock()
	if begin {
		h.workers.Go(h.tell)
	}
}

func (h *stateHook) tell() {
	h.mu.Lock()
	defer h.toldLocked()
	for len(h.queue) > 0 {
		next := h.queue[0]
		h.queue = h.queue[1:]
		h.callUnlocked(next)
	}
	h.queue = nil
}

// toldLocked unlocks mu. What is queued still is another's to tell: the hook has ended
// this goroutine, as the FailNow of a test does.
func (h *stateHook) toldLocked() {
	h.telling = len(h.queue) > 0
	if h.telling {
		h.workers.Go(h.tell)
	}
	h.mu.Unlock()
}

func (h *stateHook) callUnlocked(c StateChange) {
	h.mu.Unlock()
	defer h.mu.Lock()
	h.call(c)
}

// call contains a panic of the hook.
func (h *stateHook) call(c StateChange) {
	defer func() {
		if p := recover(); p != nil {
			log.Errorf("sinew: OnStateChange panicked: %v\n%s", p, debug.Stack())
		}
	}()
	h.hook(c)
}
