package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A body that never ends is given up when the program is told to end.
func TestReadingTheBodyIsInterrupted(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		for _, command := range []string{"call", "bench"} {
			cmd := exec.Command(path, command, "Arith.Add", "-", "--addr", "127.0.0.1:1")
			cmd.Env = cleanEnv()
			var errs growing
			cmd.Stderr = &errs
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(in, strings.Repeat(" ", 1<<20)); err != nil { // more than a pipe holds: it reads
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			limit := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() }) // it may have ended
			_ = cmd.Wait()                                                             // the code says it
			limit.Stop()
			if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(errs.String(), "reading the body") {
				t.Errorf("%s after %v: exit %d, %s", command, sig, code, &errs)
			}
		}
	}
}

// Where a read can be called off nothing of it stays.
func TestReadAllEndsWithItsContext(t *testing.T) {
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer in.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if body, err := readAll(ctx, in); !errors.Is(err, enough) || body != nil {
		t.Errorf("%q, %v", body, err)
	}
}
