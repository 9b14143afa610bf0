package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
)

// maxMoves is how often one call goes on to another provider because it met one
// that was gone or leaving.
const maxMoves = 8

// pursuit is one call on its way through attempts. It belongs to the goroutine
// that calls, and makes one attempt after the other: what an attempt reads and
// writes is free when the next begins.
type pursuit struct {
	c          *sgClient
	ctx        context.Context // the call's
	target     target          // what is looked for; tried is whom the next attempt does not go to
	req, resp  any
	retries    int  // how many the mode allows
	idempotent bool // the method may run more than once
	hedges     bool // there may be a second attempt beside the first

	current AttemptRecord // the attempt that is being made, should it fail
	visited []*member     // since all providers were last open to the call
	gone    []*member     // met gone or leaving; nothing moves to these
	retried int
	moved   int

	attempts []AttemptRecord
	outcome  protocol.Outcome // of all attempts together
	stop     Stop             // why there is no further one
}

func (c *sgClient) newPursuit(ctx context.Context, t target, req, resp any) pursuit {
	p := pursuit{c: c, ctx: ctx, target: t, req: req, resp: resp, outcome: protocol.NotSent}
	hedged := c.hedged.has(t.info.ServiceMethod)
	p.idempotent = t.call.idempotent || hedged || c.idempotent.has(t.info.ServiceMethod)
	if c.option.FailMode.persists() {
		p.retries = c.option.Retries
		p.hedges = (hedged || t.call.hedge) && resp != Oneway
	}
	return p
}

// pursue makes the attempts of a call, beginning at m.
func (c *sgClient) pursue(ctx context.Context, m *member, t *target, req, resp any) error {
	p := c.newPursuit(ctx, *t, req, resp)
	return p.run(m)
}

// goOn takes a call on whose first attempt, at m, ended with err.
func (c *sgClient) goOn(ctx context.Context, m *member, t *target, req, resp any, err error) error {
	p := c.newPursuit(ctx, *t, req, resp)
	return p.goOn(m, err)
}

// run makes the attempts, beginning at m.
func (p *pursuit) run(m *member) error {
	now := time.Now()
	p.c.budget.call(now)
	if p.hedges {
		apart := *p // a race holds on to its pursuit, and p costs no allocation
		return apart.runHedged(m, now)
	}
	if err := p.try(m, now); err != nil {
		return p.goOn(m, err)
	}
	return nil
}

// goOn takes a call on whose attempt at m ended with err.
func (p *pursuit) goOn(m *member, err error) error {
	for err != nil {
		p.record(m, p.current, time.Since(p.target.begun), err)
		if m, err = p.next(m, err); err != nil {
			return p.failed(err)
		}
		err = p.try(m, time.Now())
	}
	return nil
}

// try makes one attempt, within its part of the time.
func (p *pursuit) try(m *member, now time.Time) error {
	p.target.begun = now
	p.current = AttemptRecord{Number: p.target.info.Attempt, Timeout: p.slice(now)}
	if p.current.Timeout == 0 {
		return p.c.attempt(p.ctx, m, &p.target, p.req, p.resp)
	}
	ctx := endpoint.BoundAttempt(p.ctx, p.current.Timeout)
	defer ctx.End()
	return p.c.attempt(ctx, m, &p.target, p.req, p.resp)
}

// slice returns how long the next attempt may take, 0 for all that is left.
func (p *pursuit) slice(now time.Time) time.Duration {
	limit := p.c.option.AttemptTimeout
	further := p.retries - p.retried
	if limit < 0 || limit == 0 && (!p.idempotent || further <= 0) {
		return 0
	}
	deadline, bounded := p.ctx.Deadline()
	switch left := deadline.Sub(now); {
	case !bounded:
		return limit
	case limit == 0:
		return max(1, left/time.Duration(1+further))
	case left <= limit:
		return 0
	}
	return limit
}

// next returns where the call goes on after its attempt at m ended with err, or
// the error that it ends with.
func (p *pursuit) next(m *member, err error) (*member, error) {
	p.stop = 0
	p.visited = append(p.visited, m)
	if isMove(err) {
		if next := p.move(m); next != nil {
			return next, nil
		}
	}
	return p.retry(m, err)
}

// move returns another provider than those that were gone or leaving, nil when
// there is none.
func (p *pursuit) move(m *member) *member {
	p.gone = append(p.gone, m)
	if p.moved == maxMoves {
		p.stop = StopMoves
		return nil
	}
	next := p.other(slices.Concat(p.visited, p.gone))
	if next == nil {
		p.stop = StopProviders
		return nil
	}
	p.moved++
	p.target.stays = p.target.stays || p.moved == maxMoves
	p.c.counts.moves.Add(1)
	return next
}

// retry returns where the call is tried again, after a pause.
func (p *pursuit) retry(m *member, err error) (*member, error) {
	if p.stop = p.forbids(m, err); p.stop != 0 {
		return nil, err
	}
	pause := p.pause(err)
	if deadline, bounded := p.ctx.Deadline(); bounded && time.Until(deadline) <= pause {
		p.stop = stopOf(p.ctx)
		return nil, err
	}
	if !p.c.budget.take() {
		p.c.counts.budgetRefused.Add(1)
		p.stop = StopBudget
		return nil, err
	}
	if err := p.wait(pause); err != nil {
		return nil, err
	}
	next := p.again(m, err)
	if next == nil {
		p.stop = StopProviders
		return nil, err
	}
	p.retried++
	p.target.info.Attempt++
	p.c.counts.retries.Add(1)
	p.c.counts.attempt()
	return next, nil
}

// forbids says which rule of FailMode leaves no further attempt after the one at
// m that ended with err, 0 for none.
func (p *pursuit) forbids(m *member, err error) Stop {
	switch {
	case p.ctx.Err() != nil:
		return stopOf(p.ctx)
	case !p.c.option.FailMode.persists():
		return cmp.Or(p.stop, StopFailMode) // that nobody was left says more
	case !hopeful(p.ctx, err):
		return StopCode
	case !harmless(err, p.idempotent):
		return StopOutcome
	case p.retried >= p.retries:
		return StopRetries
	case p.c.option.FailMode == FailOver && p.nobodyBut(m):
		return StopProviders
	}
	return 0
}

// pause returns how long to wait before the retry after err.
func (p *pursuit) pause(err error) time.Duration {
	var pause time.Duration
	if p.c.backoff.Initial > 0 {
		pause = p.c.backoff.Delay(p.retried)
	}
	var e *protocol.Error
	if errors.As(err, &e) && e != nil && p.heeds(e) {
		pause = max(pause, e.RetryAfter)
	}
	return pause
}

// heeds reports whether the next attempt waits for as long as e asks. Who says
// Elsewhere asks for itself alone, unless it is out of room: nobody else is kept
// waiting by that.
func (p *pursuit) heeds(e *protocol.Error) bool {
	switch {
	case e.Code == protocol.ResourceExhausted:
		return true
	case !protocol.IsRemote(e):
		return p.c.option.FailMode == FailRetry
	}
	return !e.Elsewhere || p.nobodyBut(p.visited...)
}

// again returns where the call is tried again after its attempt at m ended with
// err, as the mode says.
func (p *pursuit) again(m *member, err error) *member {
	stay := p.c.option.FailMode == FailRetry
	if stay && !(protocol.IsRemote(err) && saysElsewhere(err)) {
		if same := p.c.listed(m); same != nil && same.well() {
			return same
		}
	}
	if next := p.other(p.visited); next != nil {
		return next
	}
	p.visited = []*member{m}
	if next := p.other(p.visited); next != nil {
		return next
	}
	if stay {
		return p.c.listed(m)
	}
	return nil
}

// other picks a provider that is none of tried, nil when there is none.
func (p *pursuit) other(tried []*member) *member {
	v, err := p.c.currentView(p.ctx)
	if err != nil {
		return nil
	}
	p.target.tried = tried
	m, err := p.c.pick(p.ctx, v, &p.target)
	if err != nil {
		return nil // what the last attempt said is more than that nobody is left
	}
	return m
}

// listed returns m as the newest list has it, nil when no call may go there any
// more.
func (c *sgClient) listed(m *member) *member {
	v := c.view.Load()
	for _, now := range v.list {
		if now.conn == m.conn && v.byNode[now.node] != nil {
			return now
		}
	}
	return nil
}

// nobodyBut reports whether the call may go to none but these.
func (p *pursuit) nobodyBut(these ...*member) bool {
	for _, other := range p.c.view.Load().byNode {
		if !slices.ContainsFunc(these, func(m *member) bool { return m.conn == other.conn }) && p.target.tagged(other) {
			return false
		}
	}
	return true
}

// wait lets the pause before an attempt pass. The error says what came before its
// end.
func (p *pursuit) wait(pause time.Duration) error {
	if pause <= 0 {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-p.c.closed.Done():
		p.stop = StopClosed
		return tooLate()
	case <-p.ctx.Done():
		p.stop = stopOf(p.ctx)
		return waitedTooLong(p.ctx, "the pause before the next attempt")
	case <-timer.C:
		return nil
	}
}
