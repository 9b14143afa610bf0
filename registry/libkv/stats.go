package libkv

import (
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// Stats is what a registry has done and how it stands, at one moment.
type Stats struct {
	Store  StoreStats
	Writer WriterStats
	Reader ReaderStats
}

// StoreStats is about the calls of the store.
type StoreStats struct {
	// Calls counts calls, Faults those of them that failed or were late. What a
	// store says of its data, such as that a key is missing, is no fault.
	Calls, Faults uint64
	// Hung is how many calls have not returned in time, and still have not.
	Hung int
	// Opened counts the attempts to open a store, Replaced the stores that were
	// given up because they hung, or failed for a minute and longer.
	Opened, Replaced uint64
	// LastError is the newest fault, and LastErrorAt when it was.
	LastError   error
	LastErrorAt time.Time
}

// WriterStats is about what this process registers.
type WriterStats struct {
	// Wanted is how many providers are to be registered, Registered how many
	// were found in the store when they were last looked for, Superseded how many
	// are left to another instance that came later: see registry.ErrSuperseded.
	Wanted, Registered, Superseded int
	// Registrations counts entries written because they were new, changed or
	// lost, Refreshes those whose stamp alone was renewed, Touches the writes of
	// the parent, which is what consumers watch.
	Registrations, Refreshes, Touches uint64
	// Lost counts how often an entry was found to be gone or another's.
	Lost uint64
	// Sweeps counts lists made to find the entries of crashed providers, Swept
	// the entries that were removed.
	Sweeps, Swept uint64
}

// ReaderStats is about the list of providers.
type ReaderStats struct {
	// State says how far the list can be trusted, Providers how long it is, and
	// ListedAt when the store last gave it, zero before.
	State     registry.State
	Providers int
	ListedAt  time.Time
	// Polls counts reads of the parent, Lists reads of all its children, Early
	// those reads of the parent that Refresh asked for.
	Polls, Lists, Early uint64
	// Hints counts what watches brought, Rearmed how often a watch was armed
	// again, Silent how often one had missed a change.
	Hints, Rearmed, Silent uint64
	// Unreadable is how many entries of the last list are no entries of
	// providers, Kept how many have vanished, or stand still, and are listed
	// nevertheless.
	Unreadable, Kept int
}
