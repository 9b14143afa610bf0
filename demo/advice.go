package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/sinew-rpc/sinew/protocol"
)

// adviseCall adds to the error of a call what can be done about it.
func adviseCall(err error, addrs []string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w\nNothing listens at %s. Start a server:\n  go run ./demo server -addr %s",
			err, strings.Join(addrs, " or "), addrs[0])
	case protocol.CodeOf(err) == protocol.Unimplemented:
		return fmt.Errorf("%w\nA demo server has ArithService.Add, .Multiply and .Divide, and TextService.Count.", err)
	case protocol.IsRemote(err):
		return err
	case protocol.OutcomeOf(err) == protocol.MaybeRun:
		return fmt.Errorf("%w\nThe request was sent and no answer came: the method may have run.", err)
	case protocol.OutcomeOf(err) == protocol.NotSent:
		return fmt.Errorf("%w\nThe request was not sent: calling again does no harm.", err)
	}
	return err
}

// adviseListen adds to an error of a listener what can be done about it.
func adviseListen(err error, addr string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w\nStop what listens at %s, or choose another address with -addr.", err, addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w\nThis user may not listen at %s: choose a port above 1023 with -addr.", err, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w\n%s is no address of this machine: choose another with -addr.", err, addr)
	}
	return err
}
