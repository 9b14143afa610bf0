package dubbo

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// errSettling is the cause of a list that holds what has vanished.
var errSettling = errors.New("providers have vanished since ZooKeeper was away; they may come back")

// listing turns what ZooKeeper lists into what is published. It belongs to the
// keeper.
type listing struct {
	registry *Registry

	last  []registry.Provider // as published
	since time.Time           // when the session began
	right time.Time           // when the list was last read; zero: never
	doubt *time.Timer         // runs while what vanishes is kept; nil: it is not
}

// begin is called with each session. What the first one lists is believed.
func (l *listing) begin() {
	l.since = time.Now()
	if settle := l.registry.option.Settle; settle > 0 && !l.right.IsZero() {
		l.doubt = time.NewTimer(settle)
	}
}

// settled is sent on when the time to come back is over: believe and read then.
func (l *listing) settled() <-chan time.Time {
	if l.doubt == nil {
		return nil
	}
	return l.doubt.C
}

// believe ends the time in which what vanished is kept.
func (l *listing) believe() {
	if l.doubt != nil {
		l.doubt.Stop()
		l.doubt = nil
	}
}

// fresh takes what was just read.
func (l *listing) fresh(children []string) {
	providers := l.parse(children)
	l.right = time.Now()
	state := registry.State{Status: registry.Fresh, Since: l.since}
	if l.doubt != nil {
		if vanished := missing(l.last, providers); len(vanished) > 0 {
			providers = append(providers, vanished...)
			state = registry.State{Status: registry.Doubted, Since: l.since, Cause: errSettling}
		}
	}
	l.publish(providers, state)
}

// stale says that ZooKeeper is away. The list stays.
func (l *listing) stale(cause error) {
	l.believe()
	if !l.right.IsZero() {
		l.publish(l.last, registry.State{Status: registry.Stale, Since: l.right, Cause: cause})
	}
}

func (l *listing) publish(providers []registry.Provider, state registry.State) {
	l.last = providers
	l.registry.feed.Publish(providers, state)
}

// parse returns the providers among the nodes, of several with one key the one
// that started last at the end: that one counts.
func (l *listing) parse(children []string) []registry.Provider {
	var providers []registry.Provider
	for _, child := range children {
		p, ok, err := l.registry.option.providerOf(child)
		if err != nil {
			log.V(1).Infof("registry/dubbo: %s: the node %.256q: %v", l.registry.option.Interface, child, err)
		}
		if ok {
			providers = append(providers, p)
		}
	}
	slices.SortStableFunc(providers, func(a, b registry.Provider) int {
		return cmp.Or(cmp.Compare(a.ProviderKey, b.ProviderKey), a.Started.Compare(b.Started))
	})
	return providers
}

// missing returns those of before that now does not list.
func missing(before, now []registry.Provider) (gone []registry.Provider) {
	listed := make(map[string]bool, len(now))
	for _, p := range now {
		listed[p.ProviderKey] = true
	}
	for _, p := range before {
		if !listed[p.ProviderKey] {
			gone = append(gone, p)
		}
	}
	return gone
}
