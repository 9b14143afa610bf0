package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// maxFailures is from where on more failures in a row make no difference to the
// pause, whatever the settings: 2^62 ns is beyond all of them.
const maxFailures = 62

// errGoneAtOnce is the cause when a connection ended, or was told to go, in the
// moment in which it was made.
var errGoneAtOnce = errors.New("client: the provider let the connection go at once")

// dialling is a dial that callers wait for. session and err are set before done
// is closed; one of them is nil.
type dialling struct {
	wary    bool // the listener may be about to close
	done    chan struct{}
	session *transport.Session
	err     *protocol.Error
}

// errSlow is why a provider is unwell whose dial has kept a call waiting for half
// of its time.
var errSlow = errors.New("client: the connection is not there yet")

// connect returns the session that calls use now. Where there is none it waits
// for the dial in flight or starts one: at most one runs at a time, on no
// caller's goroutine, and each caller waits no longer than its own ctx, or half of
// what is left of that where the call could go on to another provider. In the
// pause after a failure it fails at once.
func (n *connection) connect(ctx context.Context, t *target) (*transport.Session, error) {
	s, d, err := n.begin()
	switch {
	case err != nil:
		return nil, err
	case s != nil:
		return s, nil
	}
	if err := n.wait(ctx, d, t); err != nil {
		return nil, err
	}
	return d.session, nil
}

// wait waits for d.
func (n *connection) wait(ctx context.Context, d *dialling, t *target) error {
	patience := n.patience(ctx, t)
	var half <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		half = timer.C
	}
	for {
		select {
		case <-d.done:
			return d.error()
		case <-ctx.Done():
			return waitedTooLong(ctx, "a connection to "+n.String())
		case <-half:
			if n.elsewhere(ctx, *t, n) {
				n.slow(d)
				return unavailable(errSlow, fmt.Sprintf("%s was not reached in %v, half of the time that was left", n, patience.Round(time.Millisecond)))
			}
		}
	}
}

// patience is after how long a call asks whether it could go elsewhere, 0 for never.
func (n *connection) patience(ctx context.Context, t *target) time.Duration {
	deadline, bounded := ctx.Deadline()
	if !bounded || n.elsewhere == nil || t.stays {
		return 0
	}
	return time.Until(deadline) / 2
}

// slow has other providers called until d is over.
func (n *connection) slow(d *dialling) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dialling == d && n.closed == nil {
		n.failing.Store(true)
		n.lastErr = cmp.Or(n.lastErr, errSlow)
		n.healthLocked()
	}
}

// error returns why the dial failed, once it is over.
func (d *dialling) error() error {
	if d.err == nil {
		return nil // and no *protocol.Error that is nil
	}
	return d.err
}

// begin returns the current session, or else the dial in flight, which it
// starts where there is none.
func (n *connection) begin() (*transport.Session, *dialling, *protocol.Error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed != nil {
		return nil, nil, unavailable(n.closed, n.closed.Error())
	}
	if s := n.current.Load(); s != nil {
		return s, nil, nil
	}
	if n.dialling != nil {
		return nil, n.dialling, nil
	}
	if pause := time.Until(n.retryAt); pause > 0 {
		e := unavailable(n.lastErr, fmt.Sprintf("%s cannot be reached, next attempt in %v: %v", n, pause.Round(time.Millisecond), n.lastErr))
		e.RetryAfter = pause
		return nil, nil, e
	}
	n.startLocked()
	return nil, n.dialling, nil
}

func (n *connection) startLocked() {
	d := &dialling{wary: n.waryLocked(), done: make(chan struct{})}
	n.dialling = d
	n.changedLocked(Connecting, n.lastErr)
	n.core.workers.Go(func() { n.dial(d) })
}

// dial makes a session and tells those who wait.
func (n *connection) dial(d *dialling) {
	s, err := n.open(d.wary)
	n.mu.Lock()
	n.dialling = nil
	if n.closed != nil && err != nil {
		err = n.closed // it was cut for that: the dial's own error says less
	}
	if err == nil {
		err = n.adoptLocked(s)
	}
	if err != nil {
		n.failedLocked(err)
		n.forsakeLocked()
		n.core.refresh()
		d.err = unavailable(err, fmt.Sprintf("%s cannot be reached: %v", n, err))
	} else {
		d.session = s
	}
	n.mu.Unlock()
	close(d.done)
	if s != nil && err != nil {
		_ = s.Close() // err says why it is not wanted
		return
	}
	if s != nil && n.core.option.Heartbeat {
		n.pulse(s)
	}
}

// waryLocked reports whether a new connection is to be answered before a call is put
// on it, with n.mu held: where the provider has just said goaway, or was not to be
// reached, its listener may be about to close. The kernel accepts for that one to the
// last, and then resets what the process never saw: a request that had been written
// there may have run for all that its caller can tell. Of a provider that is degraded
// its heartbeats say enough.
func (n *connection) waryLocked() bool {
	return (n.toldToGo || n.failures > 0) && n.degraded == nil
}

// open makes a session; a wary one asks for a sign of the provider's own.
func (n *connection) open(wary bool) (*transport.Session, error) {
	begun := time.Now()
	s, err := n.openAtOnce()
	if err != nil || !wary {
		return s, err
	}
	limit := cmp.Or(n.core.option.DialTimeout, DefaultDialTimeout) // a process that hangs never answers
	if err := s.Ping(n.ctx, begun.Add(limit)); err != nil {
		_ = s.Close() // err says more
		return nil, fmt.Errorf("client: the new connection was not answered: %w", err)
	}
	return s, nil
}

func (n *connection) openAtOnce() (*transport.Session, error) {
	o := &n.core.option
	conn, err := transport.Dial(n.ctx, n.network, n.addr, transport.DialOptions{
		TLSConfig:   o.TLSConfig,
		Timeout:     o.DialTimeout,
		UserTimeout: o.WriteTimeout,
		Mem:         o.Mem,
	})
	if err != nil {
		return nil, err
	}
	return transport.NewSession(conn, n.sessions)
}

// adoptLocked puts a new session into use, with n.mu held. It may have ended,
// or have been told to go, already: its callbacks found nothing to do then.
func (n *connection) adoptLocked(s *transport.Session) error {
	switch {
	case n.closed != nil:
		return n.closed
	case s.Err() != nil:
		return fmt.Errorf("%w: %w", errGoneAtOnce, s.Cause())
	}
	n.live[s], n.toldToGo = time.Now(), false
	if !s.Usable() {
		return errGoneAtOnce
	}
	n.current.Store(s)
	n.failing.Store(false)
	n.healthLocked()
	n.changedLocked(Connected, nil)
	return nil
}

// failedLocked notes a dial, or what counts as one, that failed.
func (n *connection) failedLocked(err error) {
	if n.closed != nil {
		return
	}
	pause := n.redial.Delay(n.failures)
	n.failing.Store(true)
	n.lastErr = err
	n.retryAt = time.Now().Add(pause)
	n.failures = min(n.failures+1, maxFailures)
	n.healthLocked()
	n.reviveLaterLocked(pause)
	n.changedLocked(Failing, err)
}

// recoveredLocked lets the next call dial at once.
func (n *connection) recoveredLocked() {
	n.failing.Store(false)
	n.failures, n.retryAt, n.lastErr = 0, time.Time{}, nil
	n.healthLocked()
}
