package client

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// watch follows the registry until the client is closed or the registry is. A
// watcher that fails says nothing about the providers: the last list stays, and
// another watcher is asked for.
func (c *sgClient) watch(w registry.Watcher) {
	defer close(c.watched)
	var pause backoff.Backoff
	for {
		snapshot, err := w.Next(c.ctx)
		if err == nil {
			pause.Reset()
			c.apply(snapshot)
			continue
		}
		_ = w.Close() // it is of no more use, whatever this says
		if c.ctx.Err() != nil || errors.Is(err, registry.ErrClosed) {
			c.endOfLists(err)
			return
		}
		log.Warningf("sinew: the watch on the registry of %q failed and is begun again: %v", c.option.AppKey, err)
		if w = c.watchAgain(&pause); w == nil {
			return
		}
	}
}

// watchAgain returns a new watcher, or nil when there will be none.
func (c *sgClient) watchAgain(pause *backoff.Backoff) registry.Watcher {
	for {
		if err := pause.Wait(c.ctx); err != nil {
			c.endOfLists(err)
			return nil
		}
		w, err := c.option.Registry.Watch()
		if err == nil {
			return w
		}
		if errors.Is(err, registry.ErrClosed) {
			c.endOfLists(err)
			return nil
		}
	}
}

// apply makes a snapshot what calls choose from.
func (c *sgClient) apply(s registry.Snapshot) {
	s.Providers = c.usable(s.Providers)
	c.viewing.Lock()
	defer c.viewing.Unlock()
	members, gone := c.members(&s, c.view.Load())
	c.replaceLocked(members, s.State)
	for _, n := range gone {
		c.workers.Go(func() { c.retire(n) })
	}
}

// usable returns what a snapshot lists with each provider complete and there once, by
// key: a registry of a user's own may say less of them, or one twice, of which the last
// counts, as it does in a Feed.
func (c *sgClient) usable(listed []registry.Provider) []registry.Provider {
	list := make([]registry.Provider, 0, len(listed))
	places := make(map[string]int, len(listed))
	for _, p := range listed {
		if p.ProviderKey == "" || p.Network == "" || p.Addr == "" {
			var err error
			if p, err = p.Complete(); err != nil {
				log.Warningf("sinew: the registry of %q lists what cannot be called: %v", c.option.AppKey, err)
				continue
			}
		}
		if i, again := places[p.ProviderKey]; again {
			list[i] = p
			continue
		}
		places[p.ProviderKey] = len(list)
		list = append(list, p)
	}
	slices.SortFunc(list, byProviderKey)
	return list
}

func byProviderKey(a, b registry.Provider) int { return cmp.Compare(a.ProviderKey, b.ProviderKey) }

// publish stores v. ready lets those go on who wait for the first provider.
func (c *sgClient) publish(v *view, ready bool) {
	c.view.Store(v)
	if ready {
		c.readyOnce.Do(func() { close(c.ready) })
	}
}

// endOfLists lets calls fail that wait for a first provider that will not come.
func (c *sgClient) endOfLists(err error) {
	c.viewing.Lock()
	defer c.viewing.Unlock()
	if c.ctx.Err() != nil {
		err = ErrClosed
	}
	v := c.view.Load()
	if v == nil {
		v = newView(nil, registry.State{Cause: err}, nil, nil)
	}
	c.publish(v, true)
}

// members makes what is listed of what was before, and returns the connections
// of those that are called no more. One entry keeps its connection, and what its
// node has learnt, for as long as it is listed or kept.
func (c *sgClient) members(s *registry.Snapshot, old *view) (members []*member, gone []*connection) {
	before := old.byKey()
	for _, p := range s.Providers {
		m := before[p.ProviderKey]
		if m == nil || !m.conn.relist() { // a kept one that went meanwhile stays before
			m = &member{node: c.newNode(p), conn: c.newConnection(p)}
			members = append(members, m)
			continue
		}
		delete(before, p.ProviderKey)
		members = append(members, c.listedAgain(m, p))
	}
	kept, gone := c.unlisted(before, s.Left)
	if len(kept) > 0 {
		members = append(members, kept...)
		slices.SortFunc(members, func(a, b *member) int { return byProviderKey(*a.provider(), *b.provider()) })
	}
	return members, gone
}

// listedAgain is m with what the registry says of it now.
func (c *sgClient) listedAgain(m *member, p registry.Provider) *member {
	if m.provider().Equal(p) {
		return &member{node: m.node, conn: m.conn}
	}
	if p.Supersedes(*m.provider()) {
		m.conn.forgive() // another instance: the failures were not its own
	}
	return &member{node: m.node.With(p), conn: m.conn}
}

func (c *sgClient) newNode(p registry.Provider) *selector.Node {
	n := selector.NewNode(p)
	n.SlowStart = c.option.SlowStart
	return n
}

func (c *sgClient) newConnection(p registry.Provider) *connection {
	n := newConnection(c.core, p.Network, p.Addr)
	n.onForsaken, n.onHealth, n.elsewhere = c.dropForsaken, c.viewChanged, c.couldGoOn
	c.mu.Lock()
	c.connections[n] = struct{}{}
	c.mu.Unlock()
	return n
}

// retire lets the calls end that a removed provider still works on.
func (c *sgClient) retire(n *connection) {
	if err := n.drain(c.ctx, errRemoved); err != nil && !errors.Is(err, context.Canceled) {
		log.Warningf("sinew: %s: %v", n, err)
	}
	if c.ctx.Err() != nil {
		return // Close has it in its list, and waits for this
	}
	n.close(errRemoved)
	c.mu.Lock()
	delete(c.connections, n)
	c.mu.Unlock()
}
