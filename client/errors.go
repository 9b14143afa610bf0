package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
)

// ErrClosed is the cause of the error of a call that is made after Close or
// Shutdown, and of one that Close cut.
var ErrClosed = errors.New("client: closed; make a new one")

// errRemoved is the cause when a call meets a provider that the registry has
// just stopped to list.
var errRemoved = errors.New("client: the registry lists the provider no more")

// OptionError says which field of an option cannot be used, and why.
type OptionError struct {
	Field  string // as it is named in Option or SGOption
	Reason string // what is wrong and what to do
}

// Error implements error.
func (e *OptionError) Error() string { return "client: option " + e.Field + ": " + e.Reason }

// funnel makes sure that nothing but a *protocol.Error leaves a client. What a
// wrapper returned of its own becomes the cause, and keeps the outcome that is
// somewhere in it; without one, MaybeRun is what must be assumed.
func funnel(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*protocol.Error); ok && e != nil {
		return err
	}
	text := err.Error()
	var e *protocol.Error
	if !errors.As(err, &e) || e == nil {
		e = protocol.NewError(protocol.CodeOf(err), text)
	}
	wrapped := e.WithCause(err)
	wrapped.Message = text
	return wrapped
}

// unavailable is the error of a call for which no connection was to be had.
func unavailable(cause error, text string) *protocol.Error {
	e := &protocol.Error{Code: protocol.Unavailable, Message: text, Elsewhere: true}
	return e.WithCause(cause).WithOutcome(protocol.NotSent)
}

// tooLate is the error of a call that comes when the client is closed, or about to be.
func tooLate() *protocol.Error { return unavailable(ErrClosed, ErrClosed.Error()) }

func invalid(format string, args ...any) *protocol.Error {
	return protocol.Errorf(protocol.InvalidArgument, format, args...).WithOutcome(protocol.NotSent)
}

// waitedTooLong is the error of a call whose context ended while it waited for
// what it says.
func waitedTooLong(ctx context.Context, what string) *protocol.Error {
	err := ctx.Err()
	text := fmt.Sprintf("%v while waiting for %s", err, what)
	if errors.Is(err, context.DeadlineExceeded) {
		text = endpoint.LimitText(ctx) + ", while waiting for " + what
	}
	return protocol.NewError(protocol.CodeOf(err), text).WithCause(context.Cause(ctx)).WithOutcome(protocol.NotSent)
}

// endedBefore is the error of a call whose context had ended when it was made.
func endedBefore(ctx context.Context) *protocol.Error {
	err := ctx.Err()
	return protocol.NewError(protocol.CodeOf(err), err.Error()+" before the call was made").WithCause(context.Cause(ctx)).WithOutcome(protocol.NotSent)
}

// isMove reports whether an attempt was none: it met a connection that was
// gone, or a peer that is leaving, and certainly did not run.
func isMove(err error) bool {
	e, ok := err.(*protocol.Error)
	if !ok && !errors.As(err, &e) {
		return false
	}
	switch protocol.OutcomeOf(e) {
	case protocol.NotSent:
		return e.Code == protocol.Unavailable
	case protocol.Refused:
		return protocol.IsDraining(e)
	}
	return false
}

// saysElsewhere reports whether err says that another provider may well serve
// the call.
func saysElsewhere(err error) bool {
	var e *protocol.Error
	return errors.As(err, &e) && e != nil && e.Elsewhere
}

// asError is funnel for an error that is to be changed: err itself, or err as
// the cause of one.
func asError(err error) *protocol.Error {
	if e, ok := funnel(err).(*protocol.Error); ok && e != nil {
		return e
	}
	return protocol.NewError(protocol.Unknown, err.Error())
}
