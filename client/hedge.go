package client

import (
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// runHedged makes the attempts, the first at m, and where that is slow a second
// one beside it.
func (p *pursuit) runHedged(m *member, now time.Time) error {
	delay, known := p.c.option.HedgeDelay, (*latency)(nil)
	if delay <= 0 {
		known = p.c.latencies.of(p.target.info.ServiceMethod)
		delay = known.most(now)
	}
	m, err := p.hedge(m, delay, known)
	if err == nil {
		return nil
	}
	return p.goOn(m, err)
}

// hedge makes an attempt at m, and when that has not ended after delay, another
// elsewhere. The first of both that is an answer counts; a failure that might be
// tried again is none as long as the other runs. A delay of 0 or less is for
// ever.
func (p *pursuit) hedge(m *member, delay time.Duration, known *latency) (*member, error) {
	r := p.newRace()
	r.latency, r.delay = known, delay
	defer r.end()
	first := r.start(m, AttemptRecord{Number: p.target.info.Attempt})
	var n *runner
	if delay > 0 {
		if n = r.nextWithin(delay); n == nil {
			p.startHedge(r, m)
		}
	}
	for {
		if n == nil {
			n = r.next()
		}
		switch {
		case n.err == nil:
			if n.record.Hedge {
				p.hedgeWon(r, first)
			}
			p.resume(n)
			return n.member, r.won(n)
		case r.running == 0 || !isMove(n.err) && !hopeful(p.ctx, n.err):
			p.resume(n)
			p.discard(r)
			return n.member, n.err
		}
		p.visited = append(p.visited, n.member)
		p.record(n.member, n.record, n.took, n.err)
		n = nil
	}
}

// discard ends the attempts that still run. What they end with counts no more, but
// that they may have run does.
func (p *pursuit) discard(r *race) {
	r.cancel()
	for n := r.next(); n != nil; n = r.next() {
		n.reply.Release()
		p.outcome = graver(p.outcome, protocol.OutcomeOf(n.err))
	}
}

// startHedge begins the second attempt, if there is another provider and the
// budget allows it.
func (p *pursuit) startHedge(r *race, m *member) {
	next := p.other([]*member{m})
	if next == nil {
		return
	}
	if !p.c.budget.take() {
		p.c.counts.budgetRefused.Add(1)
		return
	}
	p.target.info.Attempt++
	p.c.counts.hedges.Add(1)
	p.c.counts.attempt()
	r.start(next, AttemptRecord{Number: p.target.info.Attempt, Hedge: true})
}

// hedgeWon notes that the second attempt was the faster. How long the first one
// would have taken nobody will know, and selectors that look at latency are told
// how long it did take: else a provider that hangs would look as it did before.
func (p *pursuit) hedgeWon(r *race, first *runner) {
	p.c.counts.hedgeWins.Add(1)
	if p.c.measured && r.running > 0 {
		now := time.Now()
		first.member.node.Unanswered(now, now.Sub(first.begun))
	}
}

// resume makes n, of which the result counts, the attempt that the call is at.
func (p *pursuit) resume(n *runner) { p.target.begun, p.current = n.begun, n.record }
