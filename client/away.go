package client

import (
	"time"

	"github.com/sinew-rpc/sinew/transport"
)

// A provider that says goaway is about to end, as a rule, and its clients are the
// first to know. For a moment they choose others, where there are any: a
// connection that is made in the instant in which a listener closes is reset by
// the kernel, unseen by the server, and a call would have waited for it in vain (see
// waryLocked). The registry ends the moment early, when it lists another instance.
// Of one that asks for another connection in place of an old one nothing of that holds.

// awayFor is how long: longer than a drain with nothing to wait for takes, and
// than a consumer without a watch needs to read the list again.
const awayFor = time.Second

// awayLocked notes, with n.mu held, a goaway on the session s that calls used.
func (n *connection) awayLocked(s *transport.Session) {
	if n.onHealth == nil || s.PeerRenews() {
		return // nobody else can be chosen, or need be
	}
	n.away.Store(true)
	if n.awayEnd != nil {
		n.awayEnd.Stop()
	}
	n.awayEnd = time.AfterFunc(awayFor, n.back)
	n.onHealth()
}

// back ends the moment.
func (n *connection) back() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.backLocked()
}

func (n *connection) backLocked() {
	if n.awayEnd == nil {
		return
	}
	n.awayEnd.Stop()
	n.awayEnd = nil
	n.away.Store(false)
	if n.closed == nil {
		n.onHealth()
	}
}
