package protocol

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Error is how every failed call ends, and the only error that crosses the
// wire. A handler that returns one keeps its Code, Message, MetaData, Elsewhere
// and RetryAfter; OK and numbers above Unauthenticated become Unknown, so a
// failure never arrives as a success.
//
// errors.Is(err, context.DeadlineExceeded) and errors.Is(err, context.Canceled)
// hold for the codes of those names, errors.Is and errors.As reach the cause,
// and a sentinel given to RegisterError is found on the caller's side too.
// An Error must not be changed once it has been returned. A nil *Error that is
// returned as an error is a failure without a code, as any other typed nil is.
type Error struct {
	Code    Code
	Message string
	// MetaData is the response's, without keys that begin with "sinew-".
	MetaData map[string]string
	// Elsewhere says that another provider may well serve the call.
	Elsewhere bool
	// RetryAfter is how long to wait before calling again; 0 says nothing.
	RetryAfter time.Duration

	outcome  Outcome
	called   bool // it ended a call of this side: what it says of that peer is not said of this one
	remote   bool
	draining bool
	cause    error
}

// NewError returns an error for a handler to return.
func NewError(code Code, message string) *Error {
	return &Error{Code: code, Message: message}
}

// Errorf is NewError with a format; an operand of %w becomes the cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Error returns "<code>: <message>".
func (e *Error) Error() string {
	if e == nil {
		return "nil *protocol.Error"
	}
	return e.Code.String() + ": " + e.Message
}

// asError finds the Error in err. A nil *Error that was returned as an error is
// none: nothing may be read from it.
func asError(err error) (e *Error, ok bool) {
	ok = errors.As(err, &e) && e != nil
	return e, ok
}

// Unwrap returns the cause: what the operating system or a codec said, or a
// sentinel given to RegisterError.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.cause
}

// Is makes the codes DeadlineExceeded and Canceled match the errors of package
// context.
func (e *Error) Is(target error) bool {
	if e == nil {
		return false
	}
	switch target {
	case context.DeadlineExceeded:
		return e.Code == DeadlineExceeded
	case context.Canceled:
		return e.Code == Canceled
	}
	return false
}

// Timeout reports whether a deadline ended the call, as net.Error's does.
func (e *Error) Timeout() bool { return e != nil && e.Code == DeadlineExceeded }

// WithCause returns a copy of e that errors.Is and errors.As follow to cause.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// WithOutcome returns a copy of e for which OutcomeOf returns o. It is for the
// sessions and gateways that know what happened to the request; the outcome of
// an error that a handler returns is discarded.
func (e *Error) WithOutcome(o Outcome) *Error {
	c := *e
	c.outcome, c.called = o, true
	return &c
}

// IsRemote reports whether the peer said err, rather than this side finding it.
// Whether the caller's own context ended is decided by that context, never by
// the code of a remote error.
func IsRemote(err error) bool {
	e, ok := asError(err)
	return ok && e.remote
}

// IsDraining reports whether err says that the peer is shutting down and takes
// no new calls on this connection.
func IsDraining(err error) bool {
	e, ok := asError(err)
	return ok && e.draining
}

// CodeOf returns the code of err: OK for nil alone, Unknown for an error that
// carries none or none that is canonical, and the matching code for the errors
// of package context.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	e, ok := asError(err)
	switch {
	case ok:
		return e.Code.ofFailure()
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Unknown
}

// ToResponse writes err into h as the response to a request: the error's code,
// text, flags and metadata. notRun comes from the server's own record of whether
// the method was entered. The outcome, Elsewhere and draining of an error that
// ended a call of this side are not passed on: they speak of another peer. An
// error whose own methods panic is Internal.
func ToResponse(h *Header, err error, notRun bool) {
	defer func() {
		if p := recover(); p != nil {
			h.StatusCode, h.Error = Internal, fmt.Sprintf("a method of the %T that the handler returned panicked", err)
			h.setFlag(FlagNotRun, notRun)
		}
	}()
	h.Flags &^= FlagNotRun | FlagElsewhere | FlagDraining
	e, ok := asError(err)
	if !ok {
		e = &Error{Code: Unknown, Message: err.Error()}
	}
	h.StatusCode = e.Code.ofFailure()
	h.Error = e.Message
	if ok && err != error(e) {
		h.Error = err.Error() // what was wrapped round it says more
	}
	h.setFlag(FlagNotRun, notRun)
	h.setFlag(FlagElsewhere, e.Elsewhere && !e.called)
	h.setFlag(FlagDraining, e.draining && !e.called && notRun)
	h.mergeMeta(e.MetaData)
	if e.RetryAfter > 0 {
		h.setMeta(MetaRetryAfter, formatMillis(e.RetryAfter))
	}
	if id := registeredID(err); id != "" {
		h.setMeta(MetaErrorID, id)
	}
}

// FromResponse returns the error that a response carries, nil for a success.
// Its outcome is Refused where the peer said NotRun, Ran otherwise.
func FromResponse(h *Header) error {
	if h.StatusCode == OK {
		return nil
	}
	e := &Error{
		Code:      h.StatusCode.ofFailure(),
		Message:   h.Error,
		MetaData:  userMeta(h.MetaData),
		Elsewhere: h.Flags&FlagElsewhere != 0,
		outcome:   Ran,
		called:    true,
		remote:    true,
		draining:  h.Flags&FlagDraining != 0,
	}
	if h.Flags&FlagNotRun != 0 {
		e.outcome = Refused
	}
	if ms, ok := h.MetaData[MetaRetryAfter]; ok {
		e.RetryAfter = parseMillis(ms)
	}
	if id, ok := h.MetaData[MetaErrorID]; ok {
		e.cause = registeredError(id)
	}
	return e
}

// Draining returns the refusal of a peer that is shutting down: Unavailable,
// Elsewhere, and IsDraining holds for it.
func Draining(message string) *Error {
	return &Error{Code: Unavailable, Message: message, Elsewhere: true, draining: true}
}
