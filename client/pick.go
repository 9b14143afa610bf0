package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/selector"
)

// target is what one call looks for among the providers.
type target struct {
	info   selector.PickInfo
	call   *perCall
	tried  []*member // they were gone or leaving
	stays  bool      // it has nowhere else to go, whoever else there is
	oneway bool      // a breaker lets it pass beside a probe
	begun  time.Time // when the attempt that is being made began
}

// triedAt reports whether the call was at m already. Another instance at the same
// address is another provider: one that was restarted meanwhile.
func (t *target) triedAt(m *member) bool {
	return slices.ContainsFunc(t.tried, func(before *member) bool {
		return before.conn == m.conn && !m.provider().Supersedes(*before.provider())
	})
}

// tagged reports whether m has the tags that the call asks for, its own and the
// client's together.
func (t *target) tagged(m *member) bool {
	want := t.info.Tags
	if len(t.call.tags) == 0 && !errors.Is(m.excluded, errTags) {
		want = nil // the client's were asked for when the view was made
	}
	return hasTags(m.provider().Tags, want)
}

// tagsOf returns the tags of the client and of the call together.
func (c *sgClient) tagsOf(pc *perCall) map[string]string {
	if len(pc.tags) == 0 || len(c.option.Tags) == 0 {
		return firstOf(pc.tags, c.option.Tags)
	}
	merged := maps.Clone(c.option.Tags)
	maps.Copy(merged, pc.tags)
	return merged
}

func firstOf(a, b map[string]string) map[string]string {
	if len(a) > 0 {
		return a
	}
	return b
}

// pick chooses a provider.
func (c *sgClient) pick(ctx context.Context, v *view, t *target) (*member, error) {
	if c.whole && len(t.tried) == 0 && len(t.call.tags) == 0 {
		m := v.byNode[c.option.Selector.Pick(ctx, t.info, v.nodes)]
		if m != nil && m.conn.fit(t.oneway) {
			return m, nil
		}
	}
	return c.pickFiltered(ctx, v, t)
}

// pickFiltered filters into lent scratch.
func (c *sgClient) pickFiltered(ctx context.Context, v *view, t *target) (*member, error) {
	scratch, ok := c.filtering.Get().(*[]*selector.Node)
	if !ok {
		scratch = new([]*selector.Node)
	}
	candidates := c.candidates(ctx, v, t, (*scratch)[:0])
	m := v.byNode[c.option.Selector.Pick(ctx, t.info, candidates)]
	clear(candidates)
	*scratch = candidates[:0]
	c.filtering.Put(scratch)
	if m == nil {
		return nil, c.nobody(v, t)
	}
	return m, nil
}

// candidates appends to scratch whom the call may go to: those of the best rank
// that has anybody for it. Who has become unwell since the view was made comes
// after all who are well.
func (c *sgClient) candidates(ctx context.Context, v *view, t *target, scratch []*selector.Node) []*selector.Node {
	found := c.firstFitting(ctx, v, v.nodes, v.behind, t, scratch)
	if len(found) == 0 && len(t.call.tags) > 0 {
		found = c.firstFitting(ctx, v, v.apart[0], v.apart[1:], t, found)
	}
	return found
}

// firstFitting appends to scratch those of best that the call may go to, or else those
// of the first list behind it that has any.
func (c *sgClient) firstFitting(ctx context.Context, v *view, best []*selector.Node, behind [][]*selector.Node, t *target, scratch []*selector.Node) []*selector.Node {
	found := c.fitting(ctx, v, best, t, (*connection).fit, scratch)
	if len(found) == 0 {
		found = c.fitting(ctx, v, best, t, (*connection).admits, found)
	}
	for _, nodes := range behind {
		if len(found) > 0 {
			break
		}
		found = c.fitting(ctx, v, nodes, t, (*connection).admits, found)
	}
	return found
}

// fitting appends to scratch those of nodes that the call may go to and whose
// connection is as it should be.
func (c *sgClient) fitting(ctx context.Context, v *view, nodes []*selector.Node, t *target, should func(n *connection, oneway bool) bool, scratch []*selector.Node) []*selector.Node {
	for _, n := range nodes {
		m := v.byNode[n]
		if t.triedAt(m) || !t.tagged(m) || !should(m.conn, t.oneway) {
			continue
		}
		if slices.ContainsFunc(c.option.Filters, func(f selector.Filter) bool { return !f.PerCall(ctx, t.info, n) }) {
			continue
		}
		scratch = append(scratch, n)
	}
	return scratch
}

// couldGoOn reports whether a call that waits for a connection to one provider could
// go on to another, which is well and which it was not at.
func (c *sgClient) couldGoOn(ctx context.Context, t target, but *connection) bool {
	for _, m := range c.view.Load().byNode {
		if m.conn == but || m.provider().Draining || !m.conn.fit(t.oneway) || t.triedAt(m) {
			continue
		}
		if c.fits(ctx, m, &t) == "" {
			return true
		}
	}
	return false
}

// nobody says why no provider could be chosen.
func (c *sgClient) nobody(v *view, t *target) error {
	if len(v.list) == 0 {
		if v.state.Cause != nil {
			return unavailable(v.state.Cause, fmt.Sprintf("no provider of %q is known: %v", c.option.AppKey, v.state.Cause))
		}
		return unavailable(nil, fmt.Sprintf("the registry lists no provider of %q", c.option.AppKey))
	}
	if m, e := soonest(v, t); m != nil {
		return brokenOff(e, fmt.Sprintf("none of the %d providers of %q may be called now; %s: %v", len(v.list), c.option.AppKey, m.provider().ProviderKey, e))
	}
	for _, m := range v.list {
		if m.excluded != nil && (v.byNode[m.node] == nil || errors.Is(m.excluded, errTags) && len(t.call.tags) == 0) {
			return unavailable(m.excluded, fmt.Sprintf("none of the %d providers of %q may be called; %s: %v", len(v.list), c.option.AppKey, m.provider().ProviderKey, m.excluded))
		}
	}
	return unavailable(nil, fmt.Sprintf("none of the %d providers of %q fits this call (tags, filters, selector)", len(v.list), c.option.AppKey))
}

// soonest returns who keeps the call out by a breaker alone, of several the one
// that lets the next call pass first; nil where there is none.
func soonest(v *view, t *target) (first *member, why *BreakerError) {
	for _, m := range v.list {
		if v.byNode[m.node] == nil || t.triedAt(m) || !t.tagged(m) {
			continue
		}
		if e := m.conn.broken(t.oneway); e != nil && (why == nil || e.RetryAt.Before(why.RetryAt)) {
			first, why = m, e
		}
	}
	return first, why
}
