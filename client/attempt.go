package client

import (
	"context"
	"time"

	"github.com/sinew-rpc/sinew/internal/breaker"
	"github.com/sinew-rpc/sinew/protocol"
)

// attempt calls one provider, if its breaker lets it, and tells the breaker what
// became of that. A refusal is an attempt that met nobody.
func (c *sgClient) attempt(ctx context.Context, m *member, t *target, req, resp any) error {
	guard := m.conn.guard
	if guard == nil {
		return c.attemptObserved(ctx, m, t, req, resp)
	}
	pass, ok := guard.Allow()
	if !ok {
		return brokenOff(m.conn.breakerError(guard.RetryAt()), "the breaker of "+m.provider().ProviderKey+" is open")
	}
	err := c.attemptObserved(ctx, m, t, req, resp)
	guard.Report(pass, resultOf(err, resp))
	return err
}

// attemptObserved notes load, latency and failures for selectors that look at
// them.
func (c *sgClient) attemptObserved(ctx context.Context, m *member, t *target, req, resp any) error {
	if !c.measured {
		return c.attemptAt(ctx, m, t, req, resp)
	}
	m.node.Begin()
	defer m.node.End()
	begun := time.Now()
	err := c.attemptAt(ctx, m, t, req, resp)
	switch resultOf(err, resp) {
	case breaker.Success:
		if err == nil || protocol.OutcomeOf(err) == protocol.Ran { // a refusal is fast, and no answer
			now := time.Now()
			m.node.Succeeded(now, now.Sub(begun))
		}
	case breaker.Failure:
		m.node.Failed(time.Now())
	}
	return err
}

func (c *sgClient) attemptAt(ctx context.Context, m *member, t *target, req, resp any) error {
	if c.attempts == nil {
		return m.conn.call(ctx, t.call, t.info.ServiceMethod, req, resp)
	}
	return c.attempts(ctx, &Attempt{Number: t.info.Attempt, Provider: m.node.Provider, ServiceMethod: t.info.ServiceMethod, conn: m.conn, call: t.call, req: req, resp: resp})
}
