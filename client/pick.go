package client

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sinew-rpc/sinew/selector"
)

// target is what one call looks for among the providers.
type target struct {
	info  selector.PickInfo
	call  *perCall
	tried []*member // they were gone or leaving
}

// triedAt reports whether the call was at m already. Another instance at the same
// address is another provider: one that was restarted meanwhile.
func (t *target) triedAt(m *member) bool {
	return slices.ContainsFunc(t.tried, func(before *member) bool {
		return before.conn == m.conn && !m.provider().Supersedes(*before.provider())
	})
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

// pick chooses a provider. What is failing is chosen only where nothing else
// is, and tried again in the background meanwhile.
func (c *sgClient) pick(ctx context.Context, v *view, t *target) (*member, error) {
	if c.whole && len(t.tried) == 0 && len(t.call.tags) == 0 {
		m := v.byNode[c.option.Selector.Pick(ctx, t.info, v.nodes)]
		if m != nil && !m.conn.failing.Load() {
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
	sound, failing := c.candidates(ctx, v, t, (*scratch)[:0])
	candidates := sound
	if len(sound) == 0 {
		candidates = failing
	}
	m := v.byNode[c.option.Selector.Pick(ctx, t.info, candidates)]
	clear(sound)
	*scratch = sound[:0]
	c.filtering.Put(scratch)
	if m == nil {
		return nil, c.nobody(v)
	}
	return m, nil
}

// candidates appends to scratch whom the call may go to, and returns those that
// are failing apart.
func (c *sgClient) candidates(ctx context.Context, v *view, t *target, scratch []*selector.Node) (sound, failing []*selector.Node) {
	sound = scratch
	for _, n := range v.nodes {
		if t.triedAt(v.byNode[n]) || !hasTags(n.Provider.Tags, t.call.tags) {
			continue
		}
		if slices.ContainsFunc(c.option.Filters, func(f selector.Filter) bool { return !f.PerCall(ctx, t.info, n) }) {
			continue
		}
		if conn := v.byNode[n].conn; conn.failing.Load() {
			conn.revive()
			failing = append(failing, n)
			continue
		}
		sound = append(sound, n)
	}
	return sound, failing
}

// nobody says why no provider could be chosen.
func (c *sgClient) nobody(v *view) error {
	if len(v.list) == 0 {
		if v.state.Cause != nil {
			return unavailable(v.state.Cause, fmt.Sprintf("no provider of %q is known: %v", c.option.AppKey, v.state.Cause))
		}
		return unavailable(nil, fmt.Sprintf("the registry lists no provider of %q", c.option.AppKey))
	}
	for _, m := range v.list {
		if m.excluded != nil {
			return unavailable(m.excluded, fmt.Sprintf("none of the %d providers of %q may be called; %s: %v", len(v.list), c.option.AppKey, m.provider().ProviderKey, m.excluded))
		}
	}
	return unavailable(nil, fmt.Sprintf("none of the %d providers of %q fits this call (tags, filters, selector)", len(v.list), c.option.AppKey))
}
