package client

import (
	"errors"
	"syscall"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/transport"
)

// How a provider is doing, as far as a choice among several goes: it is unwell
// when the last connection to it failed, or when it is degraded, which is what
// heartbeats say. Whoever is unwell is called where nobody else is left, and tried
// again in the background meanwhile.

// silencePatience is after how many times HeartbeatDegradeThreshold misses the
// session of a degraded provider ends, for a new one: the provider may have
// restarted, or the way to it have changed, without a word to this side.
const silencePatience = 3

// fit reports whether calls may well go there now.
func (n *connection) fit(oneway bool) bool {
	return !n.unwell.Load() && !n.away.Load() && n.admits(oneway)
}

// healthLocked notes how things stand, with n.mu held.
func (n *connection) healthLocked() {
	now := n.failing.Load() || n.degraded != nil
	if n.unwell.Swap(now) != now && n.onHealth != nil {
		n.onHealth()
	}
}

// isDegraded reports whether heartbeats went unanswered, and none was answered
// since.
func (n *connection) isDegraded() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.degraded != nil
}

// missed notes that a number of heartbeats in a row, no fewer than the threshold,
// had no answer on s.
func (n *connection) missed(s *transport.Session, err *HeartbeatError) {
	if n.onHealth == nil || err.Missed >= silencePatience*n.core.option.HeartbeatDegradeThreshold {
		s.Fail(err)
		return
	}
	if n.degrade(s, err) {
		log.Warningf("sinew: %s is degraded: %v", n, err)
	}
}

// degrade reports whether err is news. Like all that changes how things stand, it
// leaves it to its caller to log that, without n.mu: a log handler is foreign code,
// which may be slow or ask what the client knows of its providers.
func (n *connection) degrade(s *transport.Session, err error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.degraded != nil || n.closed != nil || n.current.Load() != s {
		return false
	}
	n.degraded = err
	n.healthLocked()
	n.changedLocked(Degraded, err)
	n.forsakeLocked()
	return true
}

// wentSilent reports whether a session ended because nothing more came from its
// peer's host, as when that lost its power. The kernel that gives such a host up
// says so, or that it has lost the way to it.
func wentSilent(cause error) bool {
	for _, silence := range []error{syscall.EHOSTUNREACH, syscall.ENETUNREACH, transport.ErrStalled} {
		if errors.Is(cause, silence) {
			return true
		}
	}
	var e interface{ Timeout() bool }
	return errors.As(cause, &e) && e.Timeout()
}

// alive notes a sign of life on s.
func (n *connection) alive(s *transport.Session) {
	if n.upgrade(s) {
		log.Infof("sinew: %s answers heartbeats again", n)
	}
}

// upgrade takes degrade back. It reports whether there was anything to take back.
func (n *connection) upgrade(s *transport.Session) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.degraded == nil || n.current.Load() != s {
		return false
	}
	n.degraded = nil
	n.healthLocked()
	n.changedLocked(Connected, nil)
	return true
}

// forgive is for when the registry says that the provider is another instance:
// what was wrong with the one before was not its own.
func (n *connection) forgive() {
	n.mu.Lock()
	if n.degraded != nil {
		n.degraded = nil
		state, err := n.statusLocked()
		n.changedLocked(state, err)
	}
	n.recoveredLocked()
	n.backLocked()
	n.mu.Unlock()
	if n.guard != nil {
		n.guard.Reset()
	}
}

// reviveLaterLocked dials after a pause though no call needs it, with n.mu held:
// who is unwell is not called, so nobody else would, and who has identities may wait
// to be called. A negative pause is never.
func (n *connection) reviveLaterLocked(pause time.Duration) {
	if n.revival != nil {
		n.revival.Stop()
		n.revival = nil
	}
	if pause >= 0 && (n.onHealth != nil || n.isCalled()) && n.closed == nil {
		n.revival = time.AfterFunc(pause, n.revive)
	}
}

// isCalled reports whether the provider may call this side back: it finds it by its
// identities, on the connection that is there.
func (n *connection) isCalled() bool { return len(n.core.option.Identities) > 0 }

// reachableLocked makes up for a connection that was in order and has ended, with
// n.mu held, where the provider may want to call on it.
func (n *connection) reachableLocked() {
	if n.isCalled() {
		n.reviveLaterLocked(n.redial.Delay(0))
	}
}

// revive starts a dial that nobody waits for, when a connection that failed may
// be tried again.
func (n *connection) revive() {
	n.mu.Lock()
	if n.closed == nil && !n.unlisted && n.dialling == nil && n.current.Load() == nil && !time.Now().Before(n.retryAt) {
		n.startLocked()
	}
	n.mu.Unlock()
}
