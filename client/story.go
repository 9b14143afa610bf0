package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// maxExplained is how many providers an Explanation shows: a failed call must
// not cost more the more there are.
const maxExplained = 32

// record keeps an attempt at m that failed after it took so long.
func (p *pursuit) record(m *member, a AttemptRecord, took time.Duration, err error) {
	a.Provider, a.Took = m.provider().ProviderKey, took
	a.Code, a.Outcome, a.Err, a.Move = protocol.CodeOf(err), protocol.OutcomeOf(err), err, isMove(err)
	p.attempts = append(p.attempts, a)
	p.outcome = graver(p.outcome, a.Outcome)
}

// graver returns which outcome of two attempts is that of both together: it is
// asked for whether calling again can do harm.
func graver(a, b protocol.Outcome) protocol.Outcome {
	for _, o := range []protocol.Outcome{protocol.Ran, protocol.MaybeRun, protocol.Refused} {
		if a == o || b == o {
			return o
		}
	}
	return protocol.NotSent
}

// failed returns what the call ends with: err, the story, and the outcome of all
// attempts. The text of what a method said stays as it is.
func (p *pursuit) failed(err error) error {
	return p.failedBecause(err, errors.Unwrap(asError(err)))
}

// failedBecause is failed with another cause.
func (p *pursuit) failedBecause(err, cause error) error {
	e := asError(err)
	story := &Explanation{
		ServiceMethod: p.target.info.ServiceMethod,
		FailMode:      p.c.option.FailMode,
		Idempotent:    p.idempotent,
		Attempts:      p.attempts,
		Stop:          p.stop,
		cause:         cause,
		public:        publicOf(p.ctx, e),
	}
	answered := p.stop == StopCode || p.stop == StopFailMode
	if len(p.attempts) > 1 || !answered {
		story.Providers, story.NotShown = p.c.considered(p.ctx, p.c.view.Load(), &p.target, p.attempts)
	}
	told := e.WithCause(story).WithOutcome(p.outcome)
	if len(p.attempts) > 1 && !(answered && protocol.IsRemote(e)) {
		told.Message = fmt.Sprintf("%s (%v)", e.Message, error(story))
	}
	return told
}

// nobodyPicked returns what a call ends with for which no provider was to be had
// from the start.
func (c *sgClient) nobodyPicked(ctx context.Context, t *target, err error) error {
	p := c.newPursuit(ctx, *t, nil, nil)
	p.stop = StopProviders
	return p.failed(err)
}

// considered says of the providers in v why a call went there or not.
func (c *sgClient) considered(ctx context.Context, v *view, t *target, attempts []AttemptRecord) (list []ProviderRecord, notShown int) {
	for i, m := range v.list {
		if i == maxExplained {
			return list, len(v.list) - i
		}
		list = append(list, ProviderRecord{Provider: m.provider().ProviderKey, Excluded: c.exclusion(ctx, m, t, attempts)})
	}
	return list, 0
}

// exclusion says why a call did not go to m, "" where it did or could have.
func (c *sgClient) exclusion(ctx context.Context, m *member, t *target, attempts []AttemptRecord) string {
	for i := range attempts {
		if attempts[i].Provider == m.provider().ProviderKey {
			return ""
		}
	}
	if m.excluded != nil && !(errors.Is(m.excluded, errTags) && t.tagged(m)) {
		return m.excluded.Error()
	}
	if why := c.fits(ctx, m, t); why != "" {
		return why
	}
	if e := m.conn.broken(false); e != nil {
		return e.Error() // its probe is under way, or it opened since the view was made
	}
	if _, _, err := m.conn.status(); m.conn.failing.Load() && err != nil {
		return fmt.Sprintf("failing: %v", err)
	}
	return ""
}

// fits says why m is not for this call, "" where it is.
func (c *sgClient) fits(ctx context.Context, m *member, t *target) string {
	if !t.tagged(m) {
		return fmt.Sprintf("its tags %v do not hold all of the call's, %v", m.provider().Tags, t.info.Tags)
	}
	for i, f := range c.option.Filters {
		if !f.PerCall(ctx, t.info, m.node) {
			return fmt.Sprintf("Filters[%d] (%T) excludes it", i, f)
		}
	}
	return ""
}
