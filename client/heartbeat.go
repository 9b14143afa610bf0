package client

import (
	"context"
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/transport"
)

// HeartbeatError is the cause when a connection ends because its provider
// answered none of several heartbeats in a row, and sent nothing else.
type HeartbeatError struct {
	Missed int           // heartbeats without an answer
	Silent time.Duration // since the last byte
}

// Error implements error.
func (e *HeartbeatError) Error() string {
	return fmt.Sprintf("client: %d heartbeats in a row unanswered, nothing heard for %v", e.Missed, e.Silent.Round(time.Millisecond))
}

// pulse sends a heartbeat whenever nothing was heard for an interval, and ends
// the session when too many in a row get no answer. Any byte is a sign of life,
// whatever it belongs to. It returns when the session has ended or its peer has
// said goaway.
func (n *connection) pulse(s *transport.Session) {
	interval := n.core.option.HeartbeatInterval
	limit := n.core.option.HeartbeatDegradeThreshold
	timer := time.NewTimer(interval)
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
		if quiet := time.Since(s.LastHeard()); quiet < interval {
			missed = 0
			timer.Reset(interval - quiet)
			continue
		}
		begun := time.Now()
		err := s.Ping(context.Background(), begun.Add(interval))
		heard := s.LastHeard()
		if err == nil || heard.After(begun) {
			missed = 0
			timer.Reset(max(0, interval-time.Since(heard)))
			continue
		}
		missed++
		if limit > 0 && missed >= limit {
			s.Fail(&HeartbeatError{Missed: missed, Silent: time.Since(heard)})
			return
		}
		timer.Reset(max(0, interval-time.Since(begun))) // it may have failed before its time
	}
}
