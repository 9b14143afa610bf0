package registry

import (
	"fmt"
	"time"
)

// Status says how far a list can be trusted.
type Status uint8

const (
	// NeverReached: there is no list, because the registry has not answered
	// yet. It is the zero value: nothing is promised.
	NeverReached Status = iota
	// Fresh: the list is what the registry said when it was last asked.
	Fresh
	// Stale: the registry does not answer; the list is its last good one.
	Stale
	// Doubted: the registry answers with an empty or a much shorter list than
	// before, which is more often its accident than the providers'. The list
	// still holds what vanished, for a limited time. Or it lists providers of
	// whom none refreshes its entry, as where it refuses writes; they stay for
	// as long as it lists them.
	Doubted
)

// String returns the name that logs and metrics use.
func (s Status) String() string {
	switch s {
	case NeverReached:
		return "never reached"
	case Fresh:
		return "fresh"
	case Stale:
		return "stale"
	case Doubted:
		return "doubted"
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// State is a Status, since when, and why. Its zero value is [NeverReached].
type State struct {
	Status Status
	// Since is when Status began. For Stale it is the last moment at which
	// the list was known to be right, so time.Since(Since) is its age.
	Since time.Time
	// Cause is what keeps the list from being fresh; nil when it is.
	Cause error
}

// String returns the state as one phrase for logs, such as
// "stale since 2026-11-22T21:00:00Z: connection refused".
func (s State) String() string {
	text := s.Status.String()
	if !s.Since.IsZero() && s.Status != Fresh {
		text += " since " + s.Since.UTC().Format(time.RFC3339)
	}
	if s.Cause != nil {
		text += ": " + s.Cause.Error()
	}
	return text
}

// same reports whether readers of two states would act and report alike.
func (s State) same(t State) bool {
	if (s.Cause == nil) != (t.Cause == nil) {
		return false
	}
	if s.Cause != nil && s.Cause.Error() != t.Cause.Error() {
		return false
	}
	return s.Status == t.Status && s.Since.Equal(t.Since)
}
