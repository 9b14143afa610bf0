package main

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
)

// advised is an error with what can be done about it.
type advised struct {
	err    error
	advice string
}

// Error returns both, the advice on a line of its own.
func (a *advised) Error() string { return a.err.Error() + "\n" + a.advice }

// Unwrap returns the error.
func (a *advised) Unwrap() error { return a.err }

// advise adds advice to err.
func advise(err error, format string, args ...any) error {
	return &advised{err, fmt.Sprintf(format, args...)}
}

// adviseCall adds to the error of a call what can be done about it, and whether
// the method ran.
func adviseCall(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return advise(err, "Nothing listens there: is the provider running, and is that its address?")
	}
	if o := (*client.OptionError)(nil); errors.As(err, &o) && o.Field == "TLSConfig" {
		return advise(err, "Leave --ca, --cert, --key and --server-name out to call in plain what is not of tls or wss.")
	}
	switch protocol.CodeOf(err) {
	case protocol.Unimplemented:
		return advise(err, `"sinew ls" lists the methods that there are.`)
	case protocol.Unauthenticated:
		return advise(err, "Say by --auth, or SINEW_AUTH, what to authenticate with.")
	case protocol.FailedPrecondition:
		if !protocol.IsRemote(err) || protocol.OutcomeOf(err) == protocol.Refused {
			return advise(err, "If that is about tags, give them by --tag key=value.")
		}
	}
	switch protocol.OutcomeOf(err) {
	case protocol.MaybeRun:
		return advise(err, "The request was sent and no answer came: the method may have run. --timeout is how long it may take.")
	case protocol.NotSent:
		return advise(err, "The request was not sent: calling again does no harm.")
	}
	return err
}

// brief is the cause of err in a few words, for a column of a table.
func brief(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case err == nil:
		return ""
	}
	var e *protocol.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%v: %s", e.Code, e.Message)
	}
	return err.Error()
}
