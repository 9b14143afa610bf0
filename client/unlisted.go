package client

import (
	"slices"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/transport"
)

// A registry that loses an entry says nothing about the provider. One that is
// listed no more is therefore called on for as long as the connection to it
// answers heartbeats: until it says goaway, which whoever leaves in order does,
// or the connection is lost. It is never dialled again, but for one that asks for
// another connection in place of an old one: that is dialled once more at once. One
// that said before that it is about to leave, or of which the registry knows that it
// unregistered, is let go at once.

// unlisted sorts those who are listed no more into kept and gone.
func (c *sgClient) unlisted(before map[string]*member, left []string) (kept []*member, gone []*connection) {
	news := 0
	for key, m := range before {
		if slices.Contains(left, key) || !c.keeps(m) {
			gone = append(gone, m.conn)
			continue
		}
		if !m.unlisted {
			news++
			m = &member{node: m.node, conn: m.conn, unlisted: true}
		}
		kept = append(kept, m)
	}
	if news > 0 {
		log.Warningf("sinew: the registry of %q lists %d providers no more whose connections answer: they are called on until those end", c.option.AppKey, news)
	}
	return kept, gone
}

// keeps reports whether m, which is listed no more, is called on. Without
// heartbeats nothing would say that it is there.
func (c *sgClient) keeps(m *member) bool {
	watched := c.option.Heartbeat && c.option.HeartbeatDegradeThreshold > 0
	return watched && !m.provider().Draining && m.conn.unlist()
}

// dropForsaken takes those out of the view whose connection went while they were
// listed no more.
func (c *sgClient) dropForsaken() {
	c.viewing.Lock()
	defer c.viewing.Unlock()
	v := c.view.Load()
	var members []*member
	for _, m := range v.list {
		if m.unlisted && m.conn.isForsaken() {
			c.workers.Go(func() { c.retire(m.conn) })
			continue
		}
		members = append(members, m)
	}
	if len(members) < len(v.list) {
		c.replaceLocked(members, v.state)
	}
}

// unlist says that the registry lists the provider no more: the connection lasts
// as long as the session that calls use now, or that takes its place. It reports
// whether there is one that answers.
func (n *connection) unlist() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	renewing := n.unlisted && n.dialling != nil
	n.unlisted = n.closed == nil && n.degraded == nil && (n.current.Load() != nil || renewing)
	return n.unlisted
}

// relist takes unlist back. It reports false when the connection went meanwhile.
func (n *connection) relist() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unlisted = false
	return n.closed == nil
}

// isForsaken reports whether the connection went while it was unlisted.
func (n *connection) isForsaken() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unlisted && n.closed != nil
}

// renewLocked sees to a connection that is unlisted and has lost its session in
// order, with n.mu held.
func (n *connection) renewLocked(lost *transport.Session) {
	if n.unlisted && n.closed == nil && lost.PeerRenews() {
		n.startLocked()
		return
	}
	n.forsakeLocked()
}

// forsakeLocked ends a connection that is unlisted and has lost its session, or
// that has turned out to be without life, with n.mu held: calls go elsewhere.
func (n *connection) forsakeLocked() {
	if !n.unlisted || n.closed != nil {
		return
	}
	n.closed = errRemoved
	n.current.Store(nil) // where it lives after all, that is nobody's concern any more
	n.changedLocked(Closed, nil)
	n.core.workers.Go(n.onForsaken)
}
