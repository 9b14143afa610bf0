package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
)

// Explanation is the story of a governed call that failed. It is in the chain of
// the call's error:
//
//	if story, ok := client.Explain(err); ok {
//		log.Print(story.String())
//	}
//
// It holds no credentials and no metadata: names of providers, durations, and
// what attempts ended with. It must not be changed.
type Explanation struct {
	// ServiceMethod is what was called, as "Service.Method".
	ServiceMethod string
	// FailMode is the client's.
	FailMode FailMode
	// Idempotent says whether the method was allowed to run more than once.
	Idempotent bool
	// Attempts are those that failed, in the order in which they ended.
	Attempts []AttemptRecord
	// Stop says why there was no further one.
	Stop Stop
	// Providers are those that the registry listed in the end, by key, at most
	// maxExplained of them; NotShown counts the others. There are none where
	// the only attempt was answered by the method itself.
	Providers []ProviderRecord
	NotShown  int

	cause  error  // of the error that the call would have ended with
	public string // what Public returns
}

// AttemptRecord is an attempt that failed.
type AttemptRecord struct {
	// Number is the attempt's, as in Attempt.
	Number int
	// Provider is its key in the registry.
	Provider string
	// Move says that it was none: the provider was gone or leaving, and the
	// method certainly did not run.
	Move bool
	// Hedge says that it was made beside one that was slow.
	Hedge bool
	// Took is how long it took. For the only attempt of a FailFast call it
	// begins with the call.
	Took time.Duration
	// Timeout is the AttemptTimeout that bounded it, 0 where it had all that
	// was left of the call.
	Timeout time.Duration
	// Code and Outcome are those of Err.
	Code    protocol.Code
	Outcome protocol.Outcome
	// Err is what it ended with.
	Err error
}

// ProviderRecord is a provider that was considered.
type ProviderRecord struct {
	// Provider is its key in the registry.
	Provider string
	// Excluded says why the call did not go there; empty where it did, or
	// could have.
	Excluded string
}

// Stop is what ended a call: the rule, or the limit that was reached.
type Stop uint8

const (
	// StopFailMode: FailFast and FailSafe make one attempt.
	StopFailMode Stop = iota + 1
	// StopCode: trying again does not help against errors of this code.
	StopCode
	// StopOutcome: the method may have run, and the call is not idempotent.
	StopOutcome
	// StopRetries: there were Retries of them.
	StopRetries
	// StopBudget: the retries of all calls reached RetryBudget.
	StopBudget
	// StopRequestTimeout: it was over, or the pause before the next attempt
	// would have been longer than what was left.
	StopRequestTimeout
	// StopContext is the same of the caller's context.
	StopContext
	// StopProviders: nobody was left to be called.
	StopProviders
	// StopMoves: the call moved on from as many providers as one may.
	StopMoves
	// StopAll: each provider of a Broadcast or Fork had its attempt.
	StopAll
	// StopClosed: the client was closed in the pause before the next attempt.
	StopClosed
)

// String says it in a few words.
func (s Stop) String() string {
	switch s {
	case StopFailMode:
		return "the fail mode makes one attempt"
	case StopCode:
		return "trying again does not help against this code"
	case StopOutcome:
		return "the method may have run, and is not idempotent"
	case StopRetries:
		return "Retries are used up"
	case StopBudget:
		return "the retry budget is used up"
	case StopRequestTimeout:
		return "RequestTimeout leaves no time"
	case StopContext:
		return "the caller's context ends"
	case StopProviders:
		return "nobody else is left"
	case StopMoves:
		return "too many providers were gone or leaving"
	case StopAll:
		return "each had its attempt"
	case StopClosed:
		return "the client was closed"
	}
	return fmt.Sprintf("Stop(%d)", uint8(s))
}

// stopOf says which limit ctx, a call's, ends with.
func stopOf(ctx context.Context) Stop {
	if !errors.Is(ctx.Err(), context.Canceled) && endpoint.LimitName(ctx) != "" {
		return StopRequestTimeout
	}
	return StopContext
}

// Explain returns the story of the call that err ended; false where that was no
// governed call, or one that never came to choosing a provider.
func Explain(err error) (*Explanation, bool) {
	var e *Explanation
	ok := errors.As(err, &e)
	return e, ok
}

// Error implements error, so that errors.As finds the story: it is what the call's
// own error has of it, in one line.
func (e *Explanation) Error() string {
	var b strings.Builder
	if n := len(e.Attempts); n > 0 {
		fmt.Fprintf(&b, "tried %s at %s: ", count(n, "time"), count(e.tried(), "provider"))
		for i, a := range e.Attempts {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(a.String())
		}
		b.WriteString("; ")
	}
	b.WriteString(e.Stop.String())
	return b.String()
}

// Public is what of the call's error may be told to callers from outside, whom
// names and addresses of providers do not concern: what a provider said, in its own
// words, and of what this side found out no more than its code. A gateway tells it
// in place of the error's text.
func (e *Explanation) Public() string { return e.public }

// publicOf returns Public of a call, made with ctx, that would have ended with e.
func publicOf(ctx context.Context, e *protocol.Error) string {
	if protocol.IsRemote(e) || e.Code == protocol.InvalidArgument { // that is about the call itself
		return e.Message
	}
	switch e.Code {
	case protocol.Unavailable:
		return "no provider can take the call now"
	case protocol.DeadlineExceeded:
		if stopOf(ctx) == StopRequestTimeout && ctx.Err() != nil {
			return endpoint.LimitText(ctx)
		}
		return "no answer in time"
	case protocol.Canceled:
		return "the call was canceled"
	}
	return "the call failed on its way to the provider, or back"
}

// Unwrap returns the cause of the call's error.
func (e *Explanation) Unwrap() error { return e.cause }

// String is the whole story in lines.
func (e *Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.128s, %v", e.ServiceMethod, e.FailMode)
	if e.Idempotent {
		b.WriteString(", idempotent")
	}
	for _, a := range e.Attempts {
		fmt.Fprintf(&b, "\n  attempt %d: %v: %v", a.Number, a, a.Err)
	}
	fmt.Fprintf(&b, "\n  ended: %v", e.Stop)
	for _, p := range e.Providers {
		fmt.Fprintf(&b, "\n  provider %s", p.Provider)
		if p.Excluded != "" {
			b.WriteString(": " + p.Excluded)
		}
	}
	if e.NotShown > 0 {
		fmt.Fprintf(&b, "\n  and %s", count(e.NotShown, "more provider"))
	}
	return b.String()
}

// String is one attempt in a few words.
func (a AttemptRecord) String() string {
	kind := ""
	switch {
	case a.Hedge:
		kind = " (hedge)"
	case a.Move:
		kind = " (gone)"
	}
	limit := ""
	if a.Timeout > 0 && a.Took >= a.Timeout {
		limit = " (AttemptTimeout)"
	}
	return fmt.Sprintf("%s%s %v%s %v in %v", a.Provider, kind, a.Code, limit, a.Outcome, a.Took.Round(time.Microsecond))
}

// tried counts the providers that attempts were made at.
func (e *Explanation) tried() int {
	var keys []string
	for _, a := range e.Attempts {
		if !slices.Contains(keys, a.Provider) {
			keys = append(keys, a.Provider)
		}
	}
	return len(keys)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
