package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
)

// Replies says where a Broadcast puts the answer of each provider: it returns a
// pointer to decode into, or nil to ignore that answer. It stands in for resp in
// the CallFunc of a Broadcast.
type Replies func(from registry.Provider) any

// Broadcast implements SGClient.
func (c *sgClient) Broadcast(ctx context.Context, serviceMethod string, req any, replies Replies) error {
	return c.Call(ctx, serviceMethod, req, replies)
}

func (c *sgClient) broadcast(ctx context.Context, v *view, t *target, req any, replies Replies) error {
	p := c.newPursuit(ctx, *t, req, nil)
	return p.broadcast(v, replies)
}

// broadcast calls every provider that v lets the call go to.
func (p *pursuit) broadcast(v *view, replies Replies) error {
	members := p.audience(v)
	if len(members) == 0 {
		p.stop = StopProviders
		return p.failed(p.c.nobody(v, &p.target))
	}
	p.retries = 0 // each attempt has all of the time
	r := p.newRace()
	defer r.end()
	for _, m := range members {
		p.join(r, m)
	}
	runners := make([]*runner, 0, len(members))
	for range members {
		runners = append(runners, r.next())
	}
	slices.SortFunc(runners, func(a, b *runner) int { return cmp.Compare(a.key(), b.key()) })
	var errs []error
	for _, n := range runners {
		if err := n.deliver(replies); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n.key(), err))
			p.record(n.member, n.record, n.took, err)
		} else {
			p.outcome = protocol.Ran
		}
	}
	if len(errs) == 0 {
		return nil
	}
	p.stop = StopAll
	first := asError(errs[0])
	told := *first
	told.Message = fmt.Sprintf("%d of %s failed, the first: %s", len(errs), count(len(members), "provider"), first.Message)
	return p.failedBecause(&told, errors.Join(errs...))
}

// audience returns whom a broadcast is for, by key: whoever may be called at all
// and has what the call asks for, well or not.
func (p *pursuit) audience(v *view) (members []*member) {
	for _, m := range v.list {
		if v.byNode[m.node] != nil && m.excluded != errDraining && p.c.fits(p.ctx, m, &p.target) == "" {
			members = append(members, m)
		}
	}
	return members
}

func (n *runner) key() string { return n.member.provider().ProviderKey }

// deliver decodes an answer where replies wants it.
func (n *runner) deliver(replies Replies) error {
	if n.err != nil {
		return n.err
	}
	var resp any
	if replies != nil {
		resp = replies(n.member.provider().Clone())
	}
	_, err := n.reply.Decode(resp)
	return err
}
