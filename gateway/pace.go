package gateway

import (
	"net/http"
	"sync"
	"time"
)

// What a body beyond firstRead must bring: minBodyRate bytes a second on the wire
// over each paceWindow, as the bodies of frames must.
const (
	minBodyRate = 16 << 10
	paceWindow  = 10 * time.Second
)

// pace cuts off a body that takes room and hardly arrives. Its timer runs while
// the body is read, and no longer.
type pace struct {
	writer http.ResponseWriter // of the request: it knows the connection

	mu sync.Mutex
	// Guarded by mu:
	timer   *time.Timer
	arrived int  // bytes of this window
	slow    bool // it was cut off
	ended   bool // nobody reads any more
}

func startPace(w http.ResponseWriter) *pace {
	p := &pace{writer: w}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(paceWindow, p.check)
	return p
}

// count takes n more bytes; false when the body was cut off.
func (p *pace) count(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arrived += n
	return !p.slow
}

// check ends the read of a body that came too slowly. What it does holds the lock,
// so that the connection's next request is never meant. A deadline that has passed
// ends one read and leaves ReadTimeout alone, and the net/http server clears it
// before it reads again. Where the writer hides the connection (it needs an
// Unwrap), the body is given up with the next bytes that come.
func (p *pace) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
	case p.arrived >= minBodyRate*int(paceWindow/time.Second):
		p.arrived = 0
		p.timer.Reset(paceWindow)
	default:
		p.slow = true
		_ = http.NewResponseController(p.writer).SetReadDeadline(time.Unix(1, 0))
	}
}

// end stops the watch; false when the body was cut off.
func (p *pace) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.timer.Stop()
	return !p.slow
}
