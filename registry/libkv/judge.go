package libkv

import "time"

// judge tells which children of one parent live: those whose value moved
// within their TTL, by the judge's own clock. No wall clock of another machine
// is compared. A judge belongs to one goroutine; the zero value is ready.
//
// Where several stand still and nobody moves, it is more likely that the store
// refuses writes, which only those who write are told: that is a standstill, and
// who it caught is neither alive nor known to be dead.
type judge struct {
	seen       map[string]*sighting // by child name
	listed     time.Time            // the last observe
	faults     uint64               // the store's count of faults then
	wrote      time.Time            // when a value was last seen that the list before had not
	standstill bool                 // nobody has moved since several stood still
}

// sighting is what is known of one child.
type sighting struct {
	value string        // whole: any write is a sign of life
	first time.Time     // when value was first seen
	moved time.Time     // the same, or when it last counted as just moved
	ttl   time.Duration // how long it may stand still
}

// observation is one child as it was listed.
type observation struct {
	value string
	ttl   time.Duration // clamped
}

// observe takes a whole list. faults counts the store's failed and late calls:
// the clocks of all stamps run only while the store works, so after a fault, or a
// standstill that somebody ends by moving, all count as just moved. So does who
// lived at the last list, where that is a TTL ago.
func (j *judge) observe(now time.Time, faults uint64, children map[string]observation) {
	gap := now.Sub(j.listed)
	disturbed := faults != j.faults
	if j.somebodyMoved(children) {
		disturbed = disturbed || j.standstill
		j.wrote, j.standstill = now, false
	}
	seen := make(map[string]*sighting, len(children))
	for name, c := range children {
		s := j.seen[name]
		switch {
		case s == nil || s.value != c.value:
			s = &sighting{value: c.value, first: now, moved: now}
		case disturbed || gap >= c.ttl && j.alive(j.listed, name):
			s = &sighting{value: c.value, first: s.first, moved: now}
		}
		s.ttl = c.ttl
		seen[name] = s
	}
	j.seen, j.listed, j.faults = seen, now, faults
	j.standstill = j.standstill || j.standsStill(now)
}

// somebodyMoved reports whether somebody wrote between the last list and this one.
func (j *judge) somebodyMoved(children map[string]observation) bool {
	if j.listed.IsZero() {
		return false // nobody knows
	}
	for name, c := range children {
		if s := j.seen[name]; s == nil || s.value != c.value {
			return true
		}
	}
	return false
}

// standsStill reports whether two or more stand still, and nobody else lives. One
// that stands still alone has crashed.
func (j *judge) standsStill(now time.Time) bool {
	suspects := 0
	for name := range j.seen {
		if j.alive(now, name) {
			return false
		}
		if !j.outlived(name) {
			suspects++
		}
	}
	return suspects >= 2
}

// outlived reports whether somebody moved after name counted as dead: the store
// took writes then.
func (j *judge) outlived(name string) bool { return j.wrote.After(j.deadline(name)) }

// suspect reports whether a child of the last list may be dead, or kept from
// moving as all are.
func (j *judge) suspect(now time.Time, name string) bool {
	return j.standstill && j.seen[name] != nil && !j.alive(now, name) && !j.outlived(name)
}

// alive reports whether a child of the last list lives. One that was not
// listed does not.
func (j *judge) alive(now time.Time, name string) bool {
	s := j.seen[name]
	return s != nil && now.Sub(s.moved) < s.ttl
}

// moves reports whether a child of the last list has moved within its TTL, whoever
// is to blame if not.
func (j *judge) moves(now time.Time, name string) bool {
	s := j.seen[name]
	return s != nil && now.Sub(s.first) < s.ttl
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
