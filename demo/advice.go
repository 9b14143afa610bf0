package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

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

// adviseCall adds to the error of a call what can be done about it.
func adviseCall(err error, s settings) error {
	switch {
	case err == nil:
		return nil
	case len(s.addrs) == 0 && nobodyAnswers(err):
		return advise(err, "Nobody who answers stands under %q in the registry %s. Start a server:\n  go run ./demo server -registry %[2]s",
			s.app, s.registry)
	case errors.Is(err, syscall.ECONNREFUSED):
		return advise(err, "Nothing listens at %s. Start a server:\n  go run ./demo server -addr %s",
			strings.Join(s.addrs, " or "), s.addrs[0])
	case protocol.CodeOf(err) == protocol.Unimplemented:
		return advise(err, "A demo server has ArithService.Add, .Multiply and .Divide, and TextService.Count.")
	case protocol.IsRemote(err):
		return err
	case protocol.OutcomeOf(err) == protocol.MaybeRun:
		return advise(err, "The request was sent and no answer came: the method may have run.")
	case protocol.OutcomeOf(err) == protocol.NotSent:
		return advise(err, "The request was not sent: calling again does no harm.")
	}
	return err
}

// nobodyAnswers reports whether err says that no provider was found, or none
// could be reached.
func nobodyAnswers(err error) bool {
	code := protocol.CodeOf(err)
	return protocol.OutcomeOf(err) == protocol.NotSent && !protocol.IsRemote(err) &&
		(code == protocol.Unavailable || code == protocol.DeadlineExceeded)
}

// adviseListen adds to an error of a listener what can be done about it: another
// value of flag.
func adviseListen(err error, addr, flag string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return advise(err, "Stop what listens at %s, or choose another address with %s.", addr, flag)
	case errors.Is(err, syscall.EACCES):
		return advise(err, "This user may not listen at %s: choose a port above 1023 with %s.", addr, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return advise(err, "%s is no address of this machine: choose another with %s.", addr, flag)
	}
	return err
}
