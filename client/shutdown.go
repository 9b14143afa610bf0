package client

import (
	"context"
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/transport"
)

// drain refuses new calls, waits until those that are pending are answered, and
// lets the provider close its sessions. It returns ctx's error when that ends
// first.
func (n *connection) drain(ctx context.Context, cause error) error {
	var failed error
	for _, s := range n.stop(cause) {
		if err := drainSession(ctx, s); err != nil {
			failed = err
		}
	}
	return failed
}

// peerCloseTime is how long the provider gets to close a session on which
// nothing is pending any more.
const peerCloseTime = 2 * time.Second

// drainSession says goaway when no call is pending, since callers that wait for
// room in the session's queue could not send after that.
func drainSession(ctx context.Context, s *transport.Session) error {
	begun := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, max(16*time.Millisecond, time.Since(begun)/32)) {
		calls, _ := s.Load()
		if calls == 0 || s.Err() != nil {
			break
		}
		if err := sleep(ctx, s, pause); err != nil {
			return fmt.Errorf("client: %d calls cut on the connection to %s: %w", calls, s.RemoteAddr(), err)
		}
	}
	s.GoAway("the client is leaving")
	for begun = time.Now(); s.Err() == nil; {
		calls, tasks := s.Load()
		if calls+tasks == 0 && time.Since(begun) >= peerCloseTime {
			return nil // it has nothing to say, and does not close
		}
		if err := sleep(ctx, s, min(peerCloseTime, 100*time.Millisecond)); err != nil {
			if calls+tasks == 0 {
				return nil
			}
			return fmt.Errorf("client: %d calls and %d handlers cut on the connection to %s: %w", calls, tasks, s.RemoteAddr(), err)
		}
	}
	return nil
}

// sleep waits for d, or until the session ends. It returns ctx's error when
// that ends first.
func sleep(ctx context.Context, s *transport.Session, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
