package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/internal/breaker"
	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// connection is how a client reaches one provider: the session that calls use
// now, if there is one, and those that were used before and are being drained.
// It is made without dialling. All methods may run concurrently.
//
// Everything that it starts runs on the client's Workers, which wait for it:
// the dial, the pulse of each session, the end of each session.
type connection struct {
	core          *core
	network, addr string
	sessions      *transport.SessionConfig
	redial        backoff.Policy
	hook          stateHook
	onForsaken    func() // told on a worker, see unlisted.go; nil where nothing is ever unlisted
	onHealth      func() // told, maybe with mu held, when fit may have changed; nil where nobody chooses
	// elsewhere reports whether a call that waits here could go on to another
	// provider; nil where nobody chooses.
	elsewhere func(ctx context.Context, t target, but *connection) bool

	guard *breaker.Breaker // nil: none

	ctx    context.Context // of dials and drains; ends when the connection is closed
	cancel context.CancelFunc

	// current is what calls use; nil when the next must dial. It is stored
	// with mu held and loaded without.
	current atomic.Pointer[transport.Session]
	// failing says that the last session or dial failed, or that a dial takes long.
	// Stored with mu held.
	failing atomic.Bool
	// unwell says that it is failing or degraded, so that a choice among
	// providers can do without this one. Stored with mu held.
	unwell atomic.Bool
	// away says that the provider said goaway a moment ago, see away.go. Stored
	// with mu held.
	away atomic.Bool

	mu sync.Mutex
	// Guarded by mu:
	live     map[*transport.Session]time.Time // every session that has not ended, and since when
	dialling *dialling                        // in flight, or nil
	failures int                              // in a row
	retryAt  time.Time                        // no dial before
	lastErr  error                            // of the last failure; nil when there is none
	toldToGo bool                             // the last session was
	degraded error                            // what its heartbeats say of the provider; nil: nothing bad
	revival  *time.Timer                      // of a dial that nobody waits for, or nil
	awayEnd  *time.Timer                      // of being away, or nil
	breaker  breaker.Change                   // the newest that was told
	closed   error                            // why nothing is dialled any more
	unlisted bool                             // it lasts as long as its session
}

func newConnection(c *core, network, addr string) *connection {
	n := &connection{
		core:    c,
		network: network,
		addr:    addr,
		redial:  backoff.Policy{Initial: c.option.RedialInitial, Max: c.option.RedialMax},
		live:    make(map[*transport.Session]time.Time),
	}
	n.hook.hook, n.hook.workers = c.option.OnStateChange, &c.workers
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.sessions = c.sessionConfig()
	n.sessions.OnGoAway = n.onGoAway
	n.sessions.OnEnd = n.onEnd
	n.guard = n.newGuard()
	return n
}

func (n *connection) String() string { return n.network + " " + n.addr }

// call makes one attempt, within limit too where that is positive. A session that
// turns out to be dead or going away before the call got onto it is replaced once.
// t is what the call looks for, nil where nobody chooses.
func (n *connection) call(ctx context.Context, pc *perCall, t *target, limit time.Duration, serviceMethod string, req, resp any) error {
	var x endpoint.Exchange // no literal: that would be made beside it and copied
	var ok bool
	if x.Service, x.Method, ok = protocol.SplitName(serviceMethod); !ok {
		return noName(serviceMethod)
	}
	x.Req, x.Resp, x.Meta = req, resp, pc.meta
	if limit > 0 {
		x.Limit(ctx, limit)
	}
	if pc.replyMeta != nil {
		return n.callForMeta(ctx, &x, t, pc.replyMeta)
	}
	return n.make(ctx, &x, t)
}

func noName(serviceMethod string) error {
	return invalid(`%.128q is no name of a method: want "Service.Method"`, serviceMethod)
}

// callForMeta makes x for a caller that wants the reply's metadata.
func (n *connection) callForMeta(ctx context.Context, x *endpoint.Exchange, t *target, to *map[string]string) error {
	var meta map[string]string
	x.ReplyMeta = &meta
	err := n.make(ctx, x, t)
	if err == nil {
		*to = withoutReserved(meta)
	}
	return err
}

func (n *connection) make(ctx context.Context, x *endpoint.Exchange, t *target) error {
	caller := &n.core.caller
	if _, raw := x.Req.(*protocol.Message); raw {
		caller = &n.core.raw
	}
	s := n.current.Load()
	if s != nil {
		err := caller.Make(ctx, s, x)
		if err == nil || !isMove(err) {
			return err
		}
		n.leave(s, err)
	}
	return n.makeAnew(ctx, caller, x, t)
}

// makeAnew is make where there is no session, or no more.
func (n *connection) makeAnew(ctx context.Context, caller *endpoint.Caller, x *endpoint.Exchange, t *target) error {
	ctx, end := x.Within(ctx)
	defer end()
	s, err := n.connect(ctx, t)
	if err != nil {
		return err
	}
	return caller.Make(ctx, s, x)
}

// onGoAway takes a session out of use whose peer is going away. Its calls go
// on; it ends when they are answered.
func (n *connection) onGoAway(s *transport.Session, reason string) {
	n.leave(s, protocol.Draining(fmt.Sprintf("%s is going away: %s", n, reason)))
}

// onEnd runs on the session's own reader, so another goroutine waits for that.
func (n *connection) onEnd(s *transport.Session, err error) {
	n.leave(s, err)
	n.core.workers.Go(func() {
		_ = s.Close() // it has ended: this waits
		n.core.traffic.ended(s)
		n.mu.Lock()
		delete(n.live, s)
		n.mu.Unlock()
	})
}

// leave takes s out of use for new calls, be it that its callbacks say so, or a caller
// who was quicker to notice. A session that ended, or was told to go, before its peer
// had answered anything is a failed dial. So is one whose peer went without a word,
// where others can be called: the next dial would hang, and it is not to be a call
// that waits for it.
func (n *connection) leave(s *transport.Session, cause error) {
	n.mu.Lock()
	if n.current.Load() == s {
		n.current.Store(nil)
		left, answered := s.PeerLeft()
		n.toldToGo = left
		switch {
		case left:
			n.awayLocked(s)
		case s.Err() == nil:
			n.core.workers.Go(func() { n.letGo(s) })
		}
		_, longest := n.redial.Bounds(maxFailures)
		worked := answered || time.Since(n.live[s]) > longest
		if worked && n.degraded == nil && (n.onHealth == nil || !wentSilent(s.Cause())) {
			n.recoveredLocked()
			n.changedLocked(Idle, cause)
			n.reachableLocked()
			n.renewLocked(s)
		} else {
			n.failedLocked(cause)
			n.forsakeLocked()
		}
	}
	n.mu.Unlock()
}

// letGo ends a session that is out of use though it lives, and its peer said no
// goaway: one that refuses calls as one that leaves need not say any.
func (n *connection) letGo(s *transport.Session) {
	if drainSession(n.ctx, s) == nil {
		_ = s.Close() // what was pending is answered
	}
}

// stop has nothing dialled any more, and returns the sessions that live.
func (n *connection) stop(cause error) []*transport.Session {
	n.mu.Lock()
	if n.closed == nil {
		n.closed = cause
		n.current.Store(nil)
		n.reviveLaterLocked(-1)
		n.backLocked()
		n.changedLocked(Closed, nil)
	}
	sessions := make([]*transport.Session, 0, len(n.live))
	for s := range n.live {
		sessions = append(sessions, s)
	}
	n.mu.Unlock()
	return sessions
}

// cut ends every session now, what an orderly end left running, and the dial in
// flight.
func (n *connection) cut(cause error) []*transport.Session {
	n.cancel()
	sessions := n.stop(cause)
	for _, s := range sessions {
		s.Fail(cause)
	}
	n.sessions.CancelSpared(cause)
	return sessions
}

// close is cut, and waits for the goroutines of the sessions.
func (n *connection) close(cause error) {
	for _, s := range n.cut(cause) {
		_ = s.Close() // it has been failed: this waits
	}
}

// status returns what Providers shows.
func (n *connection) status() (State, BreakerState, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, err := n.statusLocked()
	return s, n.breaker.To, err
}

func (n *connection) statusLocked() (State, error) {
	switch {
	case n.closed != nil:
		return Closed, n.closed
	case n.degraded != nil:
		return Degraded, n.degraded
	case n.current.Load() != nil:
		return Connected, nil
	case n.dialling != nil:
		return Connecting, n.lastErr
	case time.Now().Before(n.retryAt):
		return Failing, n.lastErr
	}
	return Idle, n.lastErr
}

// changedLocked tells the hook of a change, with n.mu held. What becomes of the
// connections of a degraded provider does not change that it is degraded.
func (n *connection) changedLocked(s State, err error) {
	if n.degraded != nil && s != Degraded && s != Closed {
		return
	}
	n.hook.add(StateChange{Network: n.network, Addr: n.addr, State: s, Breaker: n.breaker.To, Err: err})
}
