package transport

import "sync"

// sparedSessions are the sessions that ended in order while oneways of theirs
// were still being served: those go on, and whoever closes the whole client or
// server has to find them.
type sparedSessions struct {
	mu  sync.Mutex // taken with a session's mu held, never the other way round
	set map[*Session]struct{}
}

func (p *sparedSessions) add(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set == nil {
		p.set = make(map[*Session]struct{})
	}
	p.set[s] = struct{}{}
}

func (p *sparedSessions) remove(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.set, s)
}

func (p *sparedSessions) all() []*Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*Session, 0, len(p.set))
	for s := range p.set {
		list = append(list, s)
	}
	return list
}

// CancelSpared cancels the oneways that go on because their session ended in
// order, after a goaway. It is for the end of a client or a server, before its
// Workers are closed: those wait for them. It may run concurrently with
// everything.
func (c *SessionConfig) CancelSpared(cause error) {
	for _, s := range c.spared.all() {
		s.mu.Lock()
		left := s.tasks.all()
		s.mu.Unlock()
		for _, r := range left {
			r.task.Cancel(cause)
		}
	}
}
