package client

import (
	"context"
	"time"

	"github.com/sinew-rpc/sinew/internal/breaker"
	"github.com/sinew-rpc/sinew/protocol"
)

// attempt calls one provider, if its breaker lets it, and tells the breaker, and
// selectors that look at load, latency and failures, what became of that. A refusal
// is an attempt that met nobody.
func (c *sgClient) attempt(ctx context.Context, m *member, t *target, req, resp any) error {
	guard := m.conn.guard
	var pass breaker.Pass
	if guard != nil {
		var ok bool
		if pass, ok = allow(guard, resp); !ok {
			return brokenOff(m.conn.breakerError(guard.RetryAt()), "the breaker of "+m.provider().ProviderKey+" is open")
		}
	}
	if c.measured {
		m.node.Begin()
		defer m.node.End()
	}
	err := c.attemptAt(ctx, m, t, req, resp)
	result := resultOf(err, resp)
	if guard != nil {
		guard.Report(pass, c.verdict(ctx, t.begun, err, result))
	}
	if c.measured {
		m.observe(t.begun, err, result)
	}
	return err
}

// allow asks guard for an attempt. A oneway is no probe: that it was written tells
// nothing, and where there are none but oneways each would keep the others waiting.
func allow(guard *breaker.Breaker, resp any) (breaker.Pass, bool) {
	if resp == Oneway {
		return guard.AllowBeside()
	}
	return guard.Allow()
}

// observe notes the latency and the failures of an attempt that has ended.
func (m *member) observe(begun time.Time, err error, result breaker.Result) {
	took := time.Since(begun)
	now := begun.Add(took)
	switch result {
	case breaker.Success:
		if err == nil || protocol.OutcomeOf(err) == protocol.Ran { // a refusal is fast, and no answer
			m.node.Succeeded(now, took)
		}
	case breaker.Failure:
		m.node.Failed(now)
	}
}

func (c *sgClient) attemptAt(ctx context.Context, m *member, t *target, req, resp any) error {
	if c.attempts == nil {
		return m.conn.call(ctx, t.call, t, 0, t.info.ServiceMethod, req, resp)
	}
	return c.attempts(ctx, &Attempt{Number: t.info.Attempt, Provider: m.node.Provider, ServiceMethod: t.info.ServiceMethod, conn: m.conn, target: *t, req: req, resp: resp})
}
