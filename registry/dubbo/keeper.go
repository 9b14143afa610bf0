package dubbo

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// refreshPause is the least time between two lists that Refresh asked for.
const refreshPause = time.Second

// keep holds one session after the other, until Close.
func (r *Registry) keep() {
	defer close(r.done)
	list := listing{registry: r}
	var pause backoff.Backoff
	told := false // that there is no session
	for r.ctx.Err() == nil {
		k := keeper{Registry: r, list: &list}
		err := k.run()
		if r.ctx.Err() != nil {
			return
		}
		if k.lists > 0 {
			pause.Reset()
			told = false
		}
		if told {
			log.V(1).Infof("registry/dubbo: %s: %v", r.option.Interface, err)
		} else {
			log.Warningf("registry/dubbo: %s: %v; the last list stays until ZooKeeper is back", r.option.Interface, err)
			told = true
		}
		r.fail(err)
		list.stale(err)
		_ = pause.Wait(r.ctx) // its error is the end of the loop
	}
}

func (r *Registry) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = err
}

// keeper works one session.
type keeper struct {
	*Registry
	list    *listing
	session *session
	changed <-chan zk.Event // nil: nobody watches
	lists   int             // read in this session
}

// run opens a session, writes what is ours, and then does what is to be done until
// the session ends. It returns why.
func (k *keeper) run() error {
	var err error
	if k.session, err = openSession(k.ctx, k.option.Servers, k.option.SessionTimeout); err != nil {
		return err
	}
	defer k.session.close()
	if err := k.session.makePath(k.providers); err != nil {
		return err
	}
	for _, e := range k.entries() {
		if err := k.rewrite(e); err != nil {
			return err
		}
	}
	if err := k.announce(); err != nil {
		return err
	}
	k.list.begin()
	if err := k.read(); err != nil {
		return err
	}
	return k.work()
}

// announce lists this process as a consumer, where it is one.
func (k *keeper) announce() error {
	if k.option.Consumer == "" {
		return nil
	}
	err := k.session.makePath(k.consumers)
	if err == nil {
		err = k.session.swap(k.consumers, k.option.consumerNode(k.started), func(string) (bool, error) { return false, nil })
	}
	if answered(err) {
		log.Errorf("registry/dubbo: %s: this process is not listed as a consumer: %v", k.option.Interface, err)
		return nil
	}
	return err
}

func (k *keeper) work() error {
	poll := time.NewTicker(k.option.PollInterval)
	defer poll.Stop()
	refreshed := time.Now()
	for {
		var err error
		select {
		case <-k.ctx.Done():
			return k.ctx.Err()
		case <-k.session.ended:
			return errLost
		case <-k.changed:
			k.changed = nil
			err = k.read()
		case <-k.list.settled():
			k.list.believe()
			err = k.read()
		case <-k.owed:
			err = k.read()
		case <-k.refresh:
			if time.Since(refreshed) >= refreshPause {
				refreshed = time.Now()
				err = k.read()
			}
		case <-poll.C:
			if err = k.announce(); err == nil {
				err = k.read()
			}
		case j := <-k.jobs:
			err = j.run(k.session)
			j.done <- err
			if answered(err) {
				err = nil // it is the caller's
			}
		}
		if err != nil {
			return err
		}
	}
}

// read reads the list, watches for its next change, removes what is ours no more, and
// brings back what of ours is missing.
func (k *keeper) read() error {
	children, err := k.children()
	if errors.Is(err, zk.ErrNoNode) { // deleted by hand
		if err = k.session.makePath(k.providers); err == nil {
			children, err = k.children()
		}
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", k.providers, err)
	}
	k.lists++
	present := make(map[string]bool, len(children))
	for _, child := range children {
		present[child] = true
	}
	k.mu.Lock()
	k.present, k.failure = present, nil
	k.mu.Unlock()
	k.list.fresh(children)
	if err := k.clear(children); err != nil {
		return err
	}
	return k.restore(present)
}

// clear removes those of children that this session owns and that were unregistered by
// somebody who could not wait for it. What another session owns ends with that.
func (k *keeper) clear(children []string) error {
	leaving := k.leavers()
	if len(leaving) == 0 {
		return nil
	}
	for _, child := range children {
		p, ok := k.same(child)
		if !ok || !slices.Contains(leaving, p.ProviderKey) {
			continue
		}
		err := k.session.removeOwn(k.providers + "/" + child)
		if answered(err) {
			log.Errorf("registry/dubbo: %s: %s is not unregistered: %v", k.option.Interface, p.ProviderKey, err)
			return nil // the next poll tries again
		}
		if err != nil {
			return err
		}
	}
	k.left(leaving)
	return nil
}

func (k *keeper) leavers() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(k.leaving))
}

// children lists and, unless that is so already, watches.
func (k *keeper) children() (children []string, err error) {
	if k.changed != nil {
		children, _, err = k.session.conn.Children(k.providers)
		return children, err
	}
	children, _, changed, err := k.session.conn.ChildrenW(k.providers)
	if err == nil {
		k.changed = changed
	}
	return children, err
}

// restore writes what is registered here and not there, unless a successor stands
// in its place: two that both restored would take turns for ever.
func (k *keeper) restore(present map[string]bool) error {
	for _, e := range k.entries() {
		if present[e.node] || k.succeeded(e, present) {
			continue
		}
		log.Warningf("registry/dubbo: %s: the entry of %s was gone; it is written again", k.option.Interface, e.provider.ProviderKey)
		if err := k.rewrite(e); err != nil {
			return err
		}
	}
	return nil
}

// rewrite writes e for nobody who waits. What the server refuses is no end of the
// session: the list can still be read, and the next poll tries again.
func (k *keeper) rewrite(e entry) error {
	err := k.write(k.session, e)
	switch {
	case errors.Is(err, registry.ErrSuperseded):
		return nil // it drains: whoever registered it unregisters it
	case answered(err):
		log.Errorf("registry/dubbo: %s: %s is not registered: %v", k.option.Interface, e.provider.ProviderKey, err)
		return nil
	}
	return err
}

// succeeded reports whether another entry with e's key is present that is not
// known to be older, or any of another instance where e drains.
func (k *keeper) succeeded(e entry, present map[string]bool) bool {
	for child := range present {
		p, ok := k.same(child)
		if ok && p.ProviderKey == e.provider.ProviderKey && (!p.Supersedes(e.provider) || p.Started.After(e.provider.Started) || e.yieldsTo(p)) {
			return true
		}
	}
	return false
}
