package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// member is a provider with its connection. It does not change.
type member struct {
	node     *selector.Node
	conn     *connection
	unlisted bool  // the registry lists it no more, and it is kept
	excluded error // why calls do not go there, or only where nobody else is left; nil: they do
}

func (m *member) provider() *registry.Provider { return &m.node.Provider }

// well reports whether calls that were there may well stay: those with its tags.
func (m *member) well() bool {
	return (m.excluded == nil || errors.Is(m.excluded, errTags)) && m.conn.fit(false)
}

// view is what calls choose from: one list of the registry, worked up. It does
// not change.
type view struct {
	nodes  []*selector.Node           // those that may be chosen, shared with the selector
	behind [][]*selector.Node         // those for calls that were at all of nodes, the better first; breakers last
	apart  [][]*selector.Node         // those without the client's tags, for calls with other ones; as nodes and behind
	byNode map[*selector.Node]*member // of both: all that are ever called
	list   []*member                  // all, by key
	state  registry.State
	due    time.Time // when a breaker that is open lets the next call pass; zero: none is
}

// rank says how gladly a provider is called. Calls choose among those of the
// first rank that anybody has.
type rank uint8

const (
	sound    rank = iota
	unwanted      // it asks for no calls as long as another is there
	leaving       // it is about to go
	unwell        // it failed, or is degraded: trying beats refusing
	ranks
)

// Why a provider is not called, or only where nobody else is left.
var (
	errTags     = errors.New("client: its tags do not hold all of the client's")
	errUnwanted = errors.New("client: its weight is negative: it wants no calls as long as another provider is there")
	errDraining = errors.New("client: the registry says that the provider is draining")
	errAway     = errors.New("client: the provider said goaway a moment ago")
)

// rankOf ranks a member that may be called, and says why it is not sound.
func rankOf(m *member) (rank, error) {
	switch {
	case m.conn.unwell.Load():
		state, _, err := m.conn.status()
		return unwell, fmt.Errorf("client: it is %v: %w", state, cmp.Or(err, errRecovering))
	case m.provider().Draining:
		return leaving, errDraining
	case m.conn.away.Load():
		return leaving, errAway
	case m.provider().Weight < 0:
		return unwanted, errUnwanted
	}
	return sound, nil
}

// errRecovering stands for an error that is over by the time that it is asked for.
var errRecovering = errors.New("it has just recovered")

// newView sorts members out. exclude says why a provider is not called at all, and
// tags are what those have that are called.
func newView(members []*member, state registry.State, tags map[string]string, exclude func(*member) error) *view {
	v := &view{state: state, list: make([]*member, 0, len(members)), byNode: make(map[*selector.Node]*member)}
	var own, apart ranking
	for _, m := range members {
		m = &member{node: m.node, conn: m.conn, unlisted: m.unlisted, excluded: exclude(m)}
		v.list = append(v.list, m)
		if m.excluded != nil {
			continue
		}
		v.byNode[m.node] = m
		if !hasTags(m.provider().Tags, tags) {
			_ = v.rank(m, &apart) // that it has other tags says more
			m.excluded = fmt.Errorf("%w: %v, not %v", errTags, m.provider().Tags, tags)
			continue
		}
		m.excluded = v.rank(m, &own)
	}
	v.nodes, v.behind = own.best(), own.behind()
	for _, n := range v.nodes {
		v.byNode[n].excluded = nil
	}
	v.apart = append([][]*selector.Node{apart.best()}, apart.behind()...)
	return v
}

// ranking is who is called before whom.
type ranking struct {
	equals [ranks][]*selector.Node
	broken []*selector.Node // their breakers were open: the window may be over when they are asked
}

// rank gives m its place in r, and returns why that is not the first.
func (v *view) rank(m *member, r *ranking) error {
	if e := m.conn.shut(); e != nil {
		v.waitFor(e)
		r.broken = append(r.broken, m.node)
		return e
	}
	at, why := rankOf(m)
	r.equals[at] = append(r.equals[at], m.node)
	return why
}

// first is the first rank that somebody has.
func (r *ranking) first() int {
	for i, nodes := range r.equals {
		if len(nodes) > 0 {
			return i
		}
	}
	return len(r.equals)
}

// best returns those whom calls are made to, nil when there is nobody; behind those
// for calls that were at all of them.
func (r *ranking) best() []*selector.Node {
	if i := r.first(); i < len(r.equals) {
		return r.equals[i]
	}
	return nil
}

func (r *ranking) behind() [][]*selector.Node {
	var lists [][]*selector.Node
	for _, nodes := range r.equals[min(r.first()+1, len(r.equals)):] {
		if len(nodes) > 0 {
			lists = append(lists, nodes)
		}
	}
	return append(lists, r.broken)
}

// ranked yields all that the call may go to, those that calls choose among first.
func (v *view) ranked() iter.Seq[*member] {
	return func(yield func(*member) bool) {
		for _, nodes := range slices.Concat([][]*selector.Node{v.nodes}, v.behind, v.apart) {
			for _, n := range nodes {
				if !yield(v.byNode[n]) {
					return
				}
			}
		}
	}
}

// waitFor notes when a breaker that is open lets the next call pass.
func (v *view) waitFor(e *BreakerError) {
	if e != nil && (v.due.IsZero() || e.RetryAt.Before(v.due)) {
		v.due = e.RetryAt
	}
}

// byKey returns the members by key; none for a nil view.
func (v *view) byKey() map[string]*member {
	m := make(map[string]*member)
	if v != nil {
		for _, one := range v.list {
			m[one.provider().ProviderKey] = one
		}
	}
	return m
}

// services lists what all providers serve, each name once; of several with one
// name the first counts.
func (v *view) services() []protocol.ServiceInfo {
	byName := make(map[string]protocol.ServiceInfo)
	for _, m := range v.list {
		for _, s := range m.provider().Services {
			if _, known := byName[s.Name]; known {
				continue
			}
			info := protocol.ServiceInfo{Name: s.Name}
			for _, method := range s.Methods {
				info.Methods = append(info.Methods, protocol.MethodInfo(method))
			}
			byName[s.Name] = info
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b protocol.ServiceInfo) int { return cmp.Compare(a.Name, b.Name) })
}

// currentView waits, no longer than ctx, until the registry has listed a provider
// for the first time: a client that starts beside its providers does not fail
// because they are not registered yet. An application that once had providers
// and has none now fails its calls at once.
func (c *sgClient) currentView(ctx context.Context) (*view, error) {
	v := c.view.Load()
	if v != nil && len(v.list) > 0 {
		return v, nil
	}
	select {
	case <-c.ready:
		return c.view.Load(), nil
	case <-ctx.Done():
		what := "the registry's first list of the providers of %q"
		if c.view.Load() != nil { // a list came meanwhile, and nobody is on it
			what = "a first provider of %q, of which the registry lists none"
		}
		return nil, waitedTooLong(ctx, fmt.Sprintf(what, c.option.AppKey))
	}
}

// staticallyExcluded says why calls do not go to m, by what does not depend on
// the call.
func (c *sgClient) staticallyExcluded(m *member) error {
	if err := c.option.refuseProvider(m.provider()); err != nil {
		return err
	}
	for i, f := range c.option.Filters {
		if !f.Static(m.node) {
			return fmt.Errorf("client: Filters[%d] (%T) excludes it", i, f)
		}
	}
	return nil
}

// hasTags reports whether have holds all of want with the same values.
func hasTags(have, want map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}
