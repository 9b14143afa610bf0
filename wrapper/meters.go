package wrapper

import (
	"cmp"
	"maps"
	"sync"
	"sync/atomic"
)

// meters are the Meters of one wrapper by series. Looking one up takes no lock
// and allocates nothing.
type meters struct {
	table atomic.Pointer[meterTable] // replaced with mu held, never changed
	mu    sync.Mutex
}

type meterTable struct {
	bySeries map[Series]Meter
	others   map[Series]Meter // by kind alone
}

var noMeters meterTable

// of returns the meter of s, which is that of all others for a method that is
// not known to exist, and once there are max of them.
func (m *meters) of(r Recorder, max int, s Series, known bool) Meter {
	t := m.load()
	if meter, ok := t.bySeries[s]; ok {
		return meter
	}
	max = cmp.Or(max, DefaultMaxSeries)
	if known && (max < 0 || len(t.bySeries) < max) {
		return m.add(r, max, s)
	}
	other := otherOf(s)
	if meter, ok := t.others[other]; ok {
		return meter
	}
	return m.addOther(r, other)
}

func (m *meters) load() *meterTable {
	if t := m.table.Load(); t != nil {
		return t
	}
	return &noMeters
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
func (m *meters) add(r Recorder, max int, s Series) Meter {
	meter := r.Meter(s)
	m.mu.Lock()
	t := m.load()
	if first, ok := t.bySeries[s]; ok {
		m.mu.Unlock()
		return first
	}
	if max >= 0 && len(t.bySeries) >= max {
		m.mu.Unlock()
		return m.addOther(r, otherOf(s))
	}
	m.table.Store(&meterTable{with(t.bySeries, s, meter), t.others})
	m.mu.Unlock()
	return meter
}

func (m *meters) addOther(r Recorder, other Series) Meter {
	meter := r.Meter(other)
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.load()
	if first, ok := t.others[other]; ok {
		return first
	}
	m.table.Store(&meterTable{t.bySeries, with(t.others, other, meter)})
	return meter
}

// with returns a copy of m with one more.
func with(m map[Series]Meter, s Series, meter Meter) map[Series]Meter {
	grown := make(map[Series]Meter, len(m)+1)
	maps.Copy(grown, m)
	grown[s] = meter
	return grown
}
