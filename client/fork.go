package client

import (
	"context"
	"errors"
)

// Forked stands in for resp in the CallFunc of a Fork.
type Forked struct {
	// Resp is what the winner's answer is decoded into.
	Resp any
	// Providers is how many are called at one time; 0 or less is all.
	Providers int
}

// Fork implements SGClient.
func (c *sgClient) Fork(ctx context.Context, serviceMethod string, req, resp any, providers int) error {
	return c.Call(ctx, serviceMethod, req, &Forked{Resp: resp, Providers: providers})
}

func (c *sgClient) fork(ctx context.Context, m *member, t *target, req any, f *Forked) error {
	p := c.newPursuit(ctx, *t, req, f.Resp)
	return p.fork(m, f)
}

// fork calls several providers, beginning at m, and takes the first success. One
// that met a provider which was gone or leaving goes on to another.
func (p *pursuit) fork(m *member, f *Forked) error {
	p.retries = 0 // each attempt has all of the time
	r := p.newRace()
	defer r.end()
	for ; m != nil && (f.Providers <= 0 || r.running < f.Providers); m = p.other(p.visited) {
		p.join(r, m)
	}
	var errs []error
	for r.running > 0 {
		n := r.next()
		if n.err == nil {
			return p.settle(r, n)
		}
		errs = append(errs, n.err)
		p.record(n.member, n.record, n.took, n.err)
		if isMove(n.err) {
			p.moveFork(r, n)
		}
	}
	p.stop = StopAll
	return p.failedBecause(errs[len(errs)-1], errors.Join(errs...))
}

// join has m called too.
func (p *pursuit) join(r *race, m *member) {
	p.visited = append(p.visited, m)
	p.c.counts.attempt()
	r.start(m, AttemptRecord{Number: p.target.info.Attempt})
	p.target.info.Attempt++
}

// moveFork has somebody called in the place of n.
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
