package client

import (
	"context"
	"errors"
	"iter"
)

// Forked stands in for resp in the CallFunc of a Fork.
type Forked struct {
	// Resp is what the winner's answer is decoded into.
	Resp any
	// Providers is how many are called at one time; 0 or less is all. Where
	// one answers before that many are, the others are not called.
	Providers int
}

// Fork implements SGClient.
func (c *sgClient) Fork(ctx context.Context, serviceMethod string, req, resp any, providers int) error {
	return c.Call(ctx, serviceMethod, req, &Forked{Resp: resp, Providers: providers})
}

func (c *sgClient) fork(ctx context.Context, v *view, m *member, t *target, req any, f *Forked) error {
	p := c.newPursuit(ctx, *t, req, f.Resp)
	return p.fork(v, m, f.Providers)
}

// fork calls several providers of v, beginning at m, and takes the first success.
// One that met a provider which was gone or leaving goes on to another. There may
// be many: nobody is called once there is an answer, or no time.
func (p *pursuit) fork(v *view, m *member, providers int) error {
	p.retries = 0 // each attempt has all of the time
	r := p.newRace()
	defer r.end()
	stop := StopAll
	for m := range p.several(v, m, providers) {
		p.join(r, m)
		if n := p.winner(r, r.ready); n != nil {
			return p.settle(r, n)
		}
		if p.ctx.Err() != nil {
			stop = stopOf(p.ctx)
			break
		}
	}
	if n := p.winner(r, r.next); n != nil {
		return p.settle(r, n)
	}
	return p.failedAll(stop)
}

// several yields whom a fork is to call: m, and then as many as make so many
// providers, chosen one by one.
func (p *pursuit) several(v *view, m *member, providers int) iter.Seq[*member] {
	if providers <= 0 || providers >= len(v.list) {
		return p.everybody(v, m)
	}
	return func(yield func(*member) bool) {
		for n := 1; m != nil && yield(m) && n < providers; n++ {
			m = p.other(p.visited)
		}
	}
}

// everybody yields all of v that the call may go to: m, and then the others, the
// better first. With all called there is nothing to choose, and nobody to take the
// place of one that is gone.
func (p *pursuit) everybody(v *view, m *member) iter.Seq[*member] {
	p.stop = StopProviders
	return func(yield func(*member) bool) {
		if !yield(m) {
			return
		}
		for other := range v.ranked() {
			if other != m && other.conn.admits(false) && p.c.fits(p.ctx, other, &p.target) == "" && !yield(other) {
				return
			}
		}
	}
}

// winner hears of the attempts that next tells of until one succeeded, nil when
// none of them did.
func (p *pursuit) winner(r *race, next func() *runner) *runner {
	for n := next(); n != nil; n = next() {
		if n.err == nil {
			return n
		}
		p.record(n.member, n.record, n.took, n.err)
		if isMove(n.err) && p.stop == 0 {
			p.moveFork(r, n)
		}
	}
	return nil
}

// failedAll returns what a fork ends with in which nobody succeeded, and nobody
// else was called because of stop.
func (p *pursuit) failedAll(stop Stop) error {
	p.stop = stop
	errs := make([]error, len(p.attempts))
	for i := range errs {
		errs[i] = p.attempts[i].Err
	}
	return p.failedBecause(errs[len(errs)-1], errors.Join(errs...))
}

// join has m called too.
func (p *pursuit) join(r *race, m *member) {
	p.visited = append(p.visited, m)
	p.c.counts.attempt()
	r.start(m, AttemptRecord{Number: p.target.info.Attempt})
	p.target.info.Attempt++
}

// moveFork has somebody called in the place of n. When nobody is left, p.stop says
// so, and nobody is looked for again.
func (p *pursuit) moveFork(r *race, n *runner) {
	if next := p.move(n.member); next != nil {
		p.visited = append(p.visited, next)
		r.start(next, AttemptRecord{Number: n.record.Number})
	}
}

// settle ends a fork that n won.
func (p *pursuit) settle(r *race, n *runner) error {
	err := r.won(n)
	if err == nil {
		return nil
	}
	p.record(n.member, n.record, n.took, err)
	p.stop = StopCode
	return p.failed(err)
}
