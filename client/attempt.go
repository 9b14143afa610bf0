package client

import (
	"context"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// attempt calls one provider.
func (c *sgClient) attempt(ctx context.Context, m *member, t *target, req, resp any) error {
	if c.measured {
		return c.attemptMeasured(ctx, m, t, req, resp)
	}
	return c.attemptAt(ctx, m, t, req, resp)
}

func (c *sgClient) attemptAt(ctx context.Context, m *member, t *target, req, resp any) error {
	if c.attempts == nil {
		return m.conn.call(ctx, t.call, t.info.ServiceMethod, req, resp)
	}
	return c.attempts(ctx, &Attempt{Number: t.info.Attempt, Provider: m.node.Provider, ServiceMethod: t.info.ServiceMethod, conn: m.conn, call: t.call, req: req, resp: resp})
}

// attemptMeasured is for selectors that look at load, latency or failures.
func (c *sgClient) attemptMeasured(ctx context.Context, m *member, t *target, req, resp any) error {
	m.node.Begin()
	defer m.node.End()
	begun := time.Now()
	err := c.attemptAt(ctx, m, t, req, resp)
	now := time.Now()
	switch {
	case err == nil || protocol.OutcomeOf(err) == protocol.Ran:
		m.node.Succeeded(now, now.Sub(begun))
	case unhealthy(err):
		m.node.Failed(now)
	}
	return err
}

// unhealthy reports whether err speaks of the provider's health, rather than of
// the caller's mistake or its own cancellation.
func unhealthy(err error) bool {
	switch protocol.CodeOf(err) {
	case protocol.Unavailable, protocol.DeadlineExceeded, protocol.ResourceExhausted:
		return true
	}
	return false
}
