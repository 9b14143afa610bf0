package client

import (
	"context"
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/transport"
)

// HeartbeatError says that a provider answered none of several heartbeats in a
// row, and sent nothing else: why it is Degraded, or why a connection ended.
type HeartbeatError struct {
	Missed int           // heartbeats without an answer
	Silent time.Duration // since the last byte
}

// Error implements error.
func (e *HeartbeatError) Error() string {
	return fmt.Sprintf("client: %d heartbeats in a row unanswered, nothing heard for %v", e.Missed, e.Silent.Round(time.Millisecond))
}

// pulse sends a heartbeat whenever nothing was heard for an interval, and counts
// those in a row that get no answer. Any byte is a sign of life, whatever it
// belongs to; a new connection alone is none, since the kernel of a process that
// hangs makes it too. pulse returns when the session has ended or its peer has
// said goaway.
func (n *connection) pulse(s *transport.Session) {
	interval := n.core.option.HeartbeatInterval
	limit := n.core.option.HeartbeatDegradeThreshold
	made := s.LastHeard()
	timer := time.NewTimer(n.firstPulse(interval))
	defer timer.Stop()
	missed := 0
	for {
		select {
		case <-timer.C:
		case <-s.Done():
			return
		}
		if left, _ := s.PeerLeft(); left {
			return
		}
		asked := time.Now()
		heard := s.LastHeard()
		if !heard.After(made) || asked.Sub(heard) >= interval {
			err := s.Ping(context.Background(), asked.Add(interval))
			if heard = s.LastHeard(); err != nil && !heard.After(asked) {
				missed++
				if limit > 0 && missed >= limit {
					n.missed(s, &HeartbeatError{Missed: missed, Silent: time.Since(heard)})
				}
				timer.Reset(max(0, interval-time.Since(asked))) // it may have failed before its time
				continue
			}
		}
		if missed > 0 || n.isDegraded() {
			missed = 0
			n.alive(s)
		}
		timer.Reset(max(0, interval-time.Since(heard)))
	}
}

// firstPulse is how long after a session was made its first heartbeat is sent:
// at once where it decides whether the provider is called again.
func (n *connection) firstPulse(interval time.Duration) time.Duration {
	if n.isDegraded() {
		return 0
	}
	return interval
}
