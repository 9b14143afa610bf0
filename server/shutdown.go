package server

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
)

const (
	goAwayReason = "the server is shutting down"
	// handlerGrace is how long Close waits for handlers whose contexts it has
	// ended. It is bounded because Close may be called by a handler.
	handlerGrace = time.Second
	// quietTime is how long nobody may have connected when listeners are closed at the
	// end of a drain. Where there is always somebody who comes again, as of many
	// clients that have no other provider, they are closed after lateTime all the same.
	quietTime = 20 * time.Millisecond
	lateTime  = 200 * time.Millisecond
)

// errShutDownWait is the cause when a drain took longer than it may.
var errShutDownWait = fmt.Errorf("Option.ShutDownWait is over: %w", context.DeadlineExceeded)

// CutError tells what Shutdown, or a Close during it, cut off.
type CutError struct {
	// Calls is the requests, oneways included, whose handlers had not returned.
	// Their contexts were cancelled.
	Calls int
	// Connections is the connections that clients had not closed yet.
	Connections int
	// After is how long the drain had lasted.
	After time.Duration

	cause error
}

// Error tells what was cut, when and why.
func (e *CutError) Error() string {
	return fmt.Sprintf("server: shutdown cut off %d calls and %d connections after %v: %v", e.Calls, e.Connections, e.After, e.cause)
}

// Unwrap returns why the drain ended: the error of Shutdown's context,
// ErrServerClosed for a Close, or an error that names Option.ShutDownWait.
func (e *CutError) Unwrap() error { return e.cause }

// drain is what is known of a shutdown.
type drain struct {
	began   time.Time // zero before
	awaited int       // peers that were there when it began and have not ended
	noticed bool      // drained is closed
	leaving []*registration
	// patience is until when the registry is waited for; zero before that has begun.
	patience time.Time
	cut      *CutError // nil when nothing was cut
}

// Shutdown drains the server, for as long as ctx and Option.ShutDownWait allow,
// then ends it. Every client is told at once to open nothing new, what runs goes
// on, and the server ends when the clients have closed their connections and
// the handlers, those of oneways included, have returned. Listeners stay open, and
// new connections are told as well, until nothing of that is left and none has come
// for 20 ms, or for 200 ms beyond it; who came by then is waited for. Beside it the
// registry is told that this server drains, then that it is gone; when nothing else
// is left, the registry is waited for at most one second.
//
// It returns a *CutError when something had to be cut off. A second Shutdown
// joins the first, and may end the drain earlier by its own ctx. Before Serve it
// ends the server. It must not be called by a handler, which would wait for
// itself: start a goroutine.
func (s *SGServer) Shutdown(ctx context.Context) error {
	peers, deadline := s.beginDrain()
	for _, p := range peers {
		p.session.GoAway(goAwayReason)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, errShutDownWait)
	defer cancel()
	s.awaitDrain(ctx)
	s.end(context.Cause(ctx))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drain.cut != nil {
		return s.drain.cut
	}
	return nil
}

// Close ends the server now: connections are closed, handlers' contexts
// cancelled. It waits for the registry and for handlers at most one second each;
// Serve returns when all have ended. It returns nil, and may be called at any
// time, more than once, by handlers too.
func (s *SGServer) Close() error {
	s.end(ErrServerClosed)
	return nil
}

// beginDrain returns the connections to be told, none when that was done
// before, and when the drain is over at the latest.
func (s *SGServer) beginDrain() (peers []*Peer, deadline time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == serving {
		s.phase = draining
		s.drain.began = time.Now()
		for _, p := range s.peers {
			peers = append(peers, p)
			p.awaited = true
		}
		s.drain.awaited = len(peers)
		s.drain.leaving = slices.Clone(s.registrations)
		leave(s.drain.leaving, true)
		s.noticeDrainedLocked()
	}
	return peers, s.drain.began.Add(s.option.ShutDownWait)
}

// noticeDrainedLocked notices when a draining server has none of the connections left
// that it had when the drain began. Who came since is awaitLate's.
func (s *SGServer) noticeDrainedLocked() {
	if s.phase != serving && (s.drain.awaited == 0 || s.phase == closed) && !s.drain.noticed {
		s.drain.noticed = true
		close(s.drained)
	}
}

// awaitDrain waits for connections, handlers and the registry, in that order, and
// then for those who come late.
func (s *SGServer) awaitDrain(ctx context.Context) {
	if !wait(ctx, s, s.drained) || !wait(ctx, s, s.room.Empty()) {
		return
	}
	s.mu.Lock()
	leaving, patience := s.drain.leaving, s.patienceLocked()
	s.mu.Unlock()
	grace, cancel := context.WithDeadline(ctx, patience)
	defer cancel()
	for _, r := range leaving {
		wait(grace, s, r.done)
	}
	s.awaitQuiet(ctx)
	s.awaitLate(ctx)
	wait(ctx, s, s.room.Empty())
}

// awaitQuiet waits until nobody is connected and nobody has come for a while, or for
// lateTime, and has nobody come any more. Who connected at the last moment may stand in
// the kernel's queue yet, with a request sent: closing the listener would reset that
// connection, and its caller would not know whether the method ran. So it is accepted,
// and told.
func (s *SGServer) awaitQuiet(ctx context.Context) {
	t := time.NewTicker(quietTime)
	defer t.Stop()
	listeners, _, seen := s.load()
	for waited := time.Duration(0); listeners > 0 && waited < lateTime; waited += quietTime {
		if !wait(ctx, s, t.C) {
			return
		}
		_, connections, taken := s.load()
		if connections == 0 && taken == seen {
			break
		}
		seen = taken
	}
	s.closeListeners()
}

// awaitLate waits until nobody is connected of those who came during the drain.
func (s *SGServer) awaitLate(ctx context.Context) {
	t := time.NewTicker(quietTime)
	defer t.Stop()
	for _, connections, _ := s.load(); connections > 0; _, connections, _ = s.load() {
		if !wait(ctx, s, t.C) {
			return
		}
	}
}

// closeListeners has nobody come any more, and what was accepted counted.
func (s *SGServer) closeListeners() {
	s.mu.Lock()
	listeners := s.listeners
	s.listeners = nil
	s.mu.Unlock()
	closeAll(listeners)
	s.accepting.Wait()
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		if err := ln.Close(); err != nil {
			log.V(1).Infof("server: closing %s: %v", ln.Addr(), err)
		}
	}
}

// load returns how many listeners and connections there are, and how many
// connections there have been.
func (s *SGServer) load() (listeners, connections int, taken uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.listeners), s.connections + s.turnedAway, s.taken
}

// wait reports whether something came of done before ctx or the server ended.
func wait[T any](ctx context.Context, s *SGServer, done <-chan T) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return false
}

// end cuts off what is left, once, and returns when that is done.
func (s *SGServer) end(cause error) {
	listeners, peers, first := s.cutOff(cause)
	if !first {
		<-s.ended
		return
	}
	defer close(s.ended)
	s.cancel(ErrServerClosed)
	closeAll(listeners)
	for _, p := range peers {
		p.session.Fail(ErrServerClosed)
	}
	for _, p := range peers {
		_ = p.session.Close() // returns nil
	}
	s.accepting.Wait()
	s.handshakes.Wait()
	s.sessions.CancelSpared(ErrServerClosed)
	s.turnsAway.CancelSpared(ErrServerClosed)
	s.announceListening()
	s.endRegistrations()
	go func() { // whoever waits for gone waits for it
		s.workers.Close()
		close(s.gone)
	}()
	s.awaitHandlers()
}

// cutOff closes the server to everything new and returns what is to be closed;
// first is false when that was done before.
func (s *SGServer) cutOff(cause error) (listeners []net.Listener, peers []*Peer, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == closed {
		return nil, nil, false
	}
	if began := s.drain.began; !began.IsZero() && cause != nil {
		if calls := s.room.InFlight(); calls > 0 || len(s.peers) > 0 {
			s.drain.cut = &CutError{Calls: calls, Connections: len(s.peers), After: time.Since(began), cause: cause}
		}
	}
	leave(s.registrations, false)
	s.phase = closed
	listeners, s.listeners = s.listeners, nil
	for _, p := range s.peers {
		peers = append(peers, p)
	}
	s.noticeDrainedLocked()
	return listeners, peers, true
}

// awaitEnd waits until every goroutine of the server has ended.
func (s *SGServer) awaitEnd() {
	<-s.gone
	s.askedDrain.Wait()
}

func (s *SGServer) awaitHandlers() {
	t := time.NewTimer(handlerGrace)
	defer t.Stop()
	select {
	case <-s.gone:
	case <-t.C:
		log.Warningf("server: closed; %d handlers do not heed their contexts and go on", s.room.InFlight())
	}
}
