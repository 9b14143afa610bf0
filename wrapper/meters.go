package wrapper

import (
	"cmp"
	"maps"
	"sync"
	"sync/atomic"
)

// meters are the Meters of one wrapper, by the least that tells its series apart:
// a key that is quick to hash. Looking one up takes no lock and allocates nothing.
type meters[K comparable] struct {
	table atomic.Pointer[meterTable[K]] // replaced with mu held, never changed
	mu    sync.Mutex
}

type meterTable[K comparable] struct {
	byKey  map[K]Meter
	others map[Series]Meter // by kind alone
}

// of returns the meter of key, whose series series tells. It is that of all others
// for a method that is not known to exist, and once there are max of them.
func (m *meters[K]) of(r Recorder, max int, key K, series func(K) Series, known bool) Meter {
	if t := m.table.Load(); t != nil {
		if meter, ok := t.byKey[key]; ok {
			return meter
		}
	}
	return m.find(r, cmp.Or(max, DefaultMaxSeries), key, series(key), known)
}

// have reports whether key has a meter of its own.
func (m *meters[K]) have(key K) bool {
	t := m.table.Load()
	return t != nil && t.byKey[key] != nil
}

// find is of for a key that has no meter of its own yet.
func (m *meters[K]) find(r Recorder, max int, key K, s Series, known bool) Meter {
	t := m.load()
	if known && (max < 0 || len(t.byKey) < max) {
		return m.add(r, max, key, s)
	}
	other := otherOf(s)
	if meter, ok := t.others[other]; ok {
		return meter
	}
	return m.addOther(r, other)
}

func (m *meters[K]) load() *meterTable[K] {
	if t := m.table.Load(); t != nil {
		return t
	}
	return new(meterTable[K])
}

// otherOf is the series that s is counted in when it has none of its own.
func otherOf(s Series) Series {
	other := Series{Kind: s.Kind, Service: Other, Method: Other}
	if s.Provider != "" {
		other.Provider = Other
	}
	return other
}

// add makes a meter for s, if there is room for one still. The Recorder is asked
// without the lock: it is foreign code.
func (m *meters[K]) add(r Recorder, max int, key K, s Series) Meter {
	meter := r.Meter(s)
	m.mu.Lock()
	t := m.load()
	if first, ok := t.byKey[key]; ok {
		m.mu.Unlock()
		return first
	}
	if max >= 0 && len(t.byKey) >= max {
		m.mu.Unlock()
		return m.addOther(r, otherOf(s))
	}
	m.table.Store(&meterTable[K]{with(t.byKey, key, meter), t.others})
	m.mu.Unlock()
	return meter
}

func (m *meters[K]) addOther(r Recorder, other Series) Meter {
	meter := r.Meter(other)
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.load()
	if first, ok := t.others[other]; ok {
		return first
	}
	m.table.Store(&meterTable[K]{t.byKey, with(t.others, other, meter)})
	return meter
}

// with returns a copy of m with one more.
func with[K comparable](m map[K]Meter, key K, meter Meter) map[K]Meter {
	grown := make(map[K]Meter, len(m)+1)
	maps.Copy(grown, m)
	grown[key] = meter
	return grown
}
