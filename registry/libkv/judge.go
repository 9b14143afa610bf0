package libkv

import "time"

// judge tells which children of one parent live: those whose value moved
// within their TTL, by the judge's own clock. No wall clock of another machine
// is compared. A judge belongs to one goroutine; the zero value is ready.
type judge struct {
	seen   map[string]*sighting // by child name
	listed time.Time            // the last observe
	faults uint64               // the store's count of faults then
}

// sighting is what is known of one child.
type sighting struct {
	value string        // whole: any write is a sign of life
	moved time.Time     // when value was first seen
	ttl   time.Duration // how long it may stand still
}

// observation is one child as it was listed.
type observation struct {
	value string
	ttl   time.Duration // clamped
}

// observe takes a whole list. faults counts the store's failed and late calls:
// the clocks of all stamps run only while the store works, so after a fault,
// or a gap of a TTL between two lists, all count as just moved.
func (j *judge) observe(now time.Time, faults uint64, children map[string]observation) {
	gap := now.Sub(j.listed)
	disturbed := faults != j.faults
	seen := make(map[string]*sighting, len(children))
	for name, c := range children {
		s := j.seen[name]
		if s == nil || s.value != c.value || disturbed || gap >= c.ttl {
			s = &sighting{moved: now}
		}
		s.value, s.ttl = c.value, c.ttl
		seen[name] = s
	}
	j.seen, j.listed, j.faults = seen, now, faults
}

// alive reports whether a child of the last list lives. One that was not
// listed does not.
func (j *judge) alive(now time.Time, name string) bool {
	s := j.seen[name]
	return s != nil && now.Sub(s.moved) < s.ttl
}

// deadline returns when a child of the last list will count as dead unless it
// moves.
func (j *judge) deadline(name string) time.Time {
	s := j.seen[name]
	if s == nil {
		return time.Time{}
	}
	return s.moved.Add(s.ttl)
}
