package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sinew-rpc/sinew/protocol"
)

func failed(code protocol.Code, outcome protocol.Outcome, text string) error {
	return protocol.NewError(code, text).WithOutcome(outcome)
}

func TestFailuresByKind(t *testing.T) {
	var f failures
	f.add(failed(protocol.Unavailable, protocol.MaybeRun, "first"))
	f.add(failed(protocol.Unavailable, protocol.MaybeRun, "second"))
	f.add(failed(protocol.Unimplemented, protocol.Refused, "no such method"))
	f.add(failed(protocol.DeadlineExceeded, protocol.MaybeRun, "slow"))
	want := []string{
		"  2  Unavailable, MaybeRun: sent, and no answer came: the method may have run",
		"     such as: Unavailable: first",
		"  1  DeadlineExceeded, MaybeRun: sent, and no answer came: the method may have run",
		"     such as: DeadlineExceeded: slow",
		"  1  Unimplemented, Refused: the provider refused it, the method did not run",
		"     such as: Unimplemented: no such method",
	}
	if got := f.lines(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMoves(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{failed(protocol.Unavailable, protocol.NotSent, "refused"), true},
		{failed(protocol.Unavailable, protocol.MaybeRun, "lost"), false},
		{failed(protocol.DeadlineExceeded, protocol.NotSent, "late"), false},
		{protocol.Draining("bye").WithOutcome(protocol.Refused), true},
	} {
		if got := isMove(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

func TestAdvice(t *testing.T) {
	s := settings{addrs: []string{"a:1", "b:2"}}
	refused := protocol.NewError(protocol.Unavailable, "cannot be reached").WithCause(syscall.ECONNREFUSED).WithOutcome(protocol.NotSent)
	for _, c := range []struct {
		err  error
		want string
	}{
		{refused, "go run ./demo server -addr a:1"},
		{failed(protocol.Unimplemented, protocol.Refused, "no method"), "TextService.Count"},
		{failed(protocol.Unavailable, protocol.MaybeRun, "lost"), "may have run"},
		{failed(protocol.Unavailable, protocol.NotSent, "late"), "does no harm"},
		{failed(protocol.InvalidArgument, protocol.Ran, "by zero"), "by zero"},
		{context.Canceled, "canceled"},
	} {
		got := adviseCall(fmt.Errorf("A.B: %w", c.err), s)
		if !errors.Is(got, c.err) || !strings.Contains(got.Error(), c.want) {
			t.Errorf("%v: %v, want it to say %q", c.err, got, c.want)
		}
	}
	for _, errno := range []syscall.Errno{syscall.EADDRINUSE, syscall.EACCES, syscall.EADDRNOTAVAIL} {
		if got := adviseListen(errno, "a:1", "-addr"); !errors.Is(got, errno) || !strings.Contains(got.Error(), "-addr") {
			t.Errorf("%v: %v", errno, got)
		}
	}
	if got := adviseListen(syscall.EMFILE, "a:1", "-addr"); got != syscall.EMFILE {
		t.Errorf("advice where there is none: %v", got)
	}
}
