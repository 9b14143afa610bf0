package client

import (
	"time"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// Calls choose from a view that is made anew whenever it would come out
// differently: when the registry's list changes, a provider falls ill or
// recovers, a breaker opens, or its window is over. So none of that costs a call
// anything.

// viewChanged has the view made anew soon. It waits for nothing, and the caller
// may hold a lock; many changes at one time are one view.
func (c *sgClient) viewChanged() {
	if c.ctx.Err() == nil && c.stale.CompareAndSwap(false, true) {
		c.workers.Go(c.rebuild)
	}
}

// rebuildRest is how many times as long as a view took to be made the next one
// waits at least: where health changes all the time, among thousands, making views
// takes a tenth of a processor and not all of it. Calls see by themselves, when
// they pick, what a view does not know yet.
const rebuildRest = 9

func (c *sgClient) rebuild() {
	if !c.rested() {
		return
	}
	c.stale.Store(false) // before anything is read: a change from now on is another view
	c.viewing.Lock()
	defer c.viewing.Unlock()
	begun := time.Now()
	if v := c.view.Load(); v != nil && len(v.list) > 0 {
		c.replaceLocked(v.list, v.state)
	}
	c.restUntil = time.Now().Add(rebuildRest * time.Since(begun))
}

// rested waits until the next view may be made, false when the client is closed
// before. Changes during that are one view.
func (c *sgClient) rested() bool {
	c.viewing.Lock()
	rest := time.Until(c.restUntil)
	c.viewing.Unlock()
	if rest <= 0 {
		return c.ctx.Err() == nil
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// replaceLocked makes a view of members, with c.viewing held.
func (c *sgClient) replaceLocked(members []*member, state registry.State) {
	v := newView(members, state, c.option.Tags, c.staticallyExcluded)
	if u, ok := c.option.Selector.(selector.Updater); ok {
		u.Update(v.nodes)
	}
	c.publish(v, len(members) > 0)
	c.rebuildAtLocked(v.due)
}

// rebuildAtLocked has the view made anew at due, when a breaker's window is over,
// with c.viewing held. The zero time is never.
func (c *sgClient) rebuildAtLocked(due time.Time) {
	if c.rebuildLater != nil {
		c.rebuildLater.Stop()
		c.rebuildLater = nil
	}
	if !due.IsZero() && c.ctx.Err() == nil {
		c.rebuildLater = time.AfterFunc(time.Until(due), c.viewChanged)
	}
}
