package client

import (
	"context"
	"fmt"

	"github.com/sinew-rpc/sinew/protocol"
)

// FailMode says what becomes of a call whose attempt failed.
//
// In every mode an attempt that met a lost connection, or a provider that is
// leaving, or waited half of its time for a connection, and certainly did not run,
// is none: the call moves on to another provider, to each at most once and at most
// 8 times, without a pause and outside the budget. So a provider that leaves costs
// no call.
//
// Beyond that, FailOver and FailRetry try again up to Retries times, when both
// of this hold:
//   - trying again does no harm: the attempt was NotSent or Refused, or the call
//     is idempotent;
//   - trying again may help: the code is Unavailable, ResourceExhausted (after
//     the error's RetryAfter), or DeadlineExceeded of the attempt while the call
//     has time left; or the error says Elsewhere.
//
// Before each retry there is a pause (RetryBackoff), as long as the RetryAfter of
// what a provider answered where that is longer. An error that says Elsewhere, other
// than ResourceExhausted, asks for that only once the call was at every provider. A
// call never goes on beyond its deadline, nor where the retries of all calls are
// more than RetryBudget allows.
type FailMode uint8

const (
	// FailFast makes one attempt and returns its error. It is the default.
	FailFast FailMode = iota
	// FailOver tries again at other providers: at those that the call was not
	// at yet, and when there are none, at any but the last.
	FailOver
	// FailRetry tries again at the same provider, or at another when that one
	// is leaving or gone, or says Elsewhere.
	FailRetry
	// FailSafe makes one attempt, logs its failure, at most once a second, and
	// swallows it: the call returns nil and its reply stays as it was, or is zero
	// where an answer came that could not be decoded. It is for calls that nobody
	// depends on.
	FailSafe
)

// String returns the mode's name.
func (m FailMode) String() string {
	switch m {
	case FailFast:
		return "FailFast"
	case FailOver:
		return "FailOver"
	case FailRetry:
		return "FailRetry"
	case FailSafe:
		return "FailSafe"
	}
	return fmt.Sprintf("FailMode(%d)", uint8(m))
}

// persists reports whether the mode ever tries again.
func (m FailMode) persists() bool { return m == FailOver || m == FailRetry }

// harmless reports whether a call whose attempt ended with err can be made again
// without a method running more often than it may.
func harmless(err error, idempotent bool) bool {
	switch protocol.OutcomeOf(err) {
	case protocol.NotSent, protocol.Refused:
		return true
	}
	return idempotent
}

// hopeful reports whether trying again may help. ctx is the call's, not the
// attempt's.
func hopeful(ctx context.Context, err error) bool {
	switch protocol.CodeOf(err) {
	case protocol.Unavailable, protocol.ResourceExhausted:
		return true
	case protocol.DeadlineExceeded:
		return ctx.Err() == nil // the attempt's own
	}
	return saysElsewhere(err)
}
