package libkv

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// Why a list is doubted.
var (
	errVanished   = errors.New("over half of the providers vanished from the registry, or stopped refreshing their entries, at about the same time")
	errStandstill = errors.New("no provider refreshes its entry any more: the registry may refuse writes")
)

// providerList makes of what the store lists what consumers are told. It belongs
// to the reader's loop.
type providerList struct {
	judge judge
	good  map[string]member // who lives, or may as far as a standstill tells, by child name
	gone  map[string]absent // who did not long ago, by child name
	left  map[string]string // who said goodbye, by child name: their ProviderKeys

	state      registry.State
	at         time.Time // of the last take
	saved      time.Time // when the list that was recalled was saved; zero: none was, or a newer came
	unreadable int
	empty      map[string]time.Time // when a child was first seen without a value, by child name
	suspects   int                  // of good, those who stand still
	kept       int                  // of gone, those who stay listed
	creating   bool                 // some entry is being created
	complained map[string]string    // unreadable values that were logged, by child name
}

// member is an entry that could be read.
type member struct {
	entry
	value string
}

// absent is an entry that vanished, or stands still.
type absent struct {
	member
	since   time.Time
	dropped bool // it is listed no more
}

// keepFor is how long it stays listed where over half went with it.
func (a *absent) keepFor() time.Duration { return a.ttl * 2 / 3 }

func (l *providerList) init() {
	l.good, l.gone = make(map[string]member), make(map[string]absent)
	l.left = make(map[string]string)
	l.complained = make(map[string]string)
	l.empty = make(map[string]time.Time)
}

// resumes is for the first list after the store has failed: what it says begins
// anew.
func (l *providerList) resumes() { l.state = registry.State{} }

// take works up a list that the store gave.
func (l *providerList) take(now time.Time, faults uint64, children map[string]*store.KVPair, update lastUpdate) {
	listed := l.read(now, children)
	observations := make(map[string]observation, len(listed))
	for name, m := range listed {
		observations[name] = observation{value: m.value, ttl: m.ttl}
	}
	l.judge.observe(now, faults, observations)
	before := l.good
	l.good, l.suspects = make(map[string]member, len(listed)), 0
	for name, m := range listed {
		suspect := l.judge.suspect(now, name)
		if suspect {
			l.suspects++
		}
		if suspect || l.judge.alive(now, name) {
			l.good[name] = m
		}
	}
	l.miss(now, before, update)
	l.at, l.saved = now, time.Time{}
	l.settle(now)
}

// read decodes the children. Of one that cannot be read, or is empty because it
// is being created, the last good provider stands, and does not move any more.
func (l *providerList) read(now time.Time, children map[string]*store.KVPair) map[string]member {
	listed := make(map[string]member, len(children))
	l.unreadable, l.creating = 0, false
	for name, pair := range children {
		value := string(pair.Value)
		e, err := decodeEntry(name, pair.Value)
		if err == nil {
			listed[name] = member{entry: *e, value: value}
			delete(l.complained, name)
			continue
		}
		if m, known := l.good[name]; known {
			m.value = "" // a change, once: its owner has a TTL from now to mend it
			listed[name] = m
		}
		if value == "" && l.beingCreated(now, name) {
			l.creating = true
			continue
		}
		l.unreadable++
		if last, told := l.complained[name]; !told || last != value {
			l.complained[name] = value
			log.Warningf("libkv: an entry is passed over: %v", err)
		}
	}
	maps.DeleteFunc(l.complained, func(name, _ string) bool { return children[name] == nil })
	maps.DeleteFunc(l.empty, func(name string, _ time.Time) bool {
		return children[name] == nil || len(children[name].Value) > 0
	})
	return listed
}

// beingCreated reports whether a child without a value may be an entry that some
// stores create before they write it. Who has not written it for so long has died
// between the two.
func (l *providerList) beingCreated(now time.Time, name string) bool {
	if _, _, err := providerOf(name); err != nil {
		return false
	}
	first, known := l.empty[name]
	if !known {
		first = now
		l.empty[name] = first
	}
	return now.Sub(first) < minTTL
}

// miss notes who was there before and is not now. Who said goodbye is not missed.
func (l *providerList) miss(now time.Time, before map[string]member, update lastUpdate) {
	for name, m := range before {
		if _, lives := l.good[name]; !lives {
			l.gone[name] = absent{member: m, since: now}
		}
	}
	maps.DeleteFunc(l.gone, func(name string, a absent) bool {
		if slices.Contains(update.left, leaver(name, a.instance)) {
			l.left[name] = a.provider.ProviderKey
			return true
		}
		_, lives := l.good[name]
		return lives || now.Sub(a.since) >= a.ttl
	})
	maps.DeleteFunc(l.left, func(name, _ string) bool {
		_, lives := l.good[name]
		return lives || !update.names(name)
	})
}

// settle decides who of the missing stays listed, and how far the list can be
// trusted: when over half went within a TTL, something else than the providers
// is more likely to have failed.
func (l *providerList) settle(now time.Time) {
	doubted := 2*len(l.gone) > len(l.gone)+len(l.good)
	l.kept = 0
	for name, a := range l.gone {
		if !doubted || a.dropped || now.Sub(a.since) >= a.keepFor() {
			a.dropped = true
			l.gone[name] = a
			continue
		}
		l.kept++
	}
	l.judged(now)
}

// judged says how far the list can be trusted, and since when.
func (l *providerList) judged(now time.Time) {
	state := registry.State{Status: registry.Fresh, Since: now}
	switch {
	case l.suspects > 0:
		state.Status, state.Cause = registry.Doubted, errStandstill
	case l.kept > 0:
		state.Status, state.Cause = registry.Doubted, errVanished
	}
	if l.state.Status == state.Status {
		state.Since = l.state.Since
	}
	l.state = state
}

// published returns what consumers are told.
func (l *providerList) published() (ps []registry.Provider, s registry.State, left []string) {
	ps = make([]registry.Provider, 0, len(l.good)+l.kept)
	for _, m := range l.good {
		ps = append(ps, m.provider)
	}
	for _, a := range l.gone {
		if !a.dropped {
			ps = append(ps, a.provider)
		}
	}
	return ps, l.state, slices.Collect(maps.Values(l.left))
}

// size returns how many entries are known.
func (l *providerList) size() int { return len(l.good) }

// incomplete reports whether some entry was seen while it was being created.
func (l *providerList) incomplete() bool { return l.creating }

// worthKeeping reports whether the list is one for the disk. An empty one says no
// more than a missing file, and the addresses of before may be those of after.
func (l *providerList) worthKeeping() bool {
	return l.state.Status == registry.Fresh && len(l.good) > 0
}

// shortestTTL returns that of the entries, or the default where there is none.
func (l *providerList) shortestTTL() time.Duration {
	if len(l.good) == 0 {
		return defaultTTL
	}
	shortest := maxTTL
	for _, m := range l.good {
		shortest = min(shortest, m.ttl)
	}
	return shortest
}

// nextLook returns when the store is to be asked again at the latest: when
// somebody will count as dead or be kept no more, and before stamps could have
// moved unseen for a TTL, after which they say nothing. Zero is never.
func (l *providerList) nextLook(now time.Time) (at time.Time) {
	for name := range l.good {
		if deadline := l.judge.deadline(name); deadline.After(now) {
			at = earliest(at, deadline)
		}
	}
	if len(l.good) > 0 {
		at = earliest(at, now.Add(l.shortestTTL()*2/3))
	}
	for _, a := range l.gone {
		if !a.dropped {
			at = earliest(at, a.since.Add(a.keepFor()))
		}
	}
	if l.creating {
		at = earliest(at, now.Add(lookAgain))
	}
	return at
}

// recall makes a list of the snapshot file what is known, until the store gives
// another.
func (l *providerList) recall(ps []savedProvider, at time.Time) {
	for _, p := range ps {
		m := member{entry: entry{provider: p.Provider, instance: p.Instance, ttl: clampTTL(p.TTL)}}
		l.good[childName(p.Provider)] = m
	}
	l.saved = at
}

// recalled reports whether the list is still that of the snapshot file.
func (l *providerList) recalled() bool { return !l.saved.IsZero() }

// knownAt returns when the list was last known to be right.
func (l *providerList) knownAt() time.Time {
	if l.recalled() {
		return l.saved
	}
	return l.at
}

// toSave returns what the snapshot file is to hold.
func (l *providerList) toSave() (ps []savedProvider, at time.Time) {
	for _, m := range l.good {
		ps = append(ps, savedProvider{Provider: m.provider, Instance: m.instance, TTL: m.ttl})
	}
	slices.SortFunc(ps, func(a, b savedProvider) int { return strings.Compare(a.ProviderKey, b.ProviderKey) })
	return ps, l.at
}
