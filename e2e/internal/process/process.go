// Package process runs programs that tests stop and kill.
package process

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Program is a program that was built for a test.
type Program struct{ path string }

// Build builds the package at path, such as "./internal/echoserver", for as long
// as the test runs.
func Build(t testing.TB, path string) *Program {
	t.Helper()
	exe := filepath.Join(t.TempDir(), filepath.Base(path))
	if out, err := exec.Command("go", "build", "-o", exe, path).CombinedOutput(); err != nil {
		t.Fatalf("build of %s: %v\n%s", path, err, out)
	}
	return &Program{exe}
}

// Process is a program that runs.
type Process struct {
	// Addr is the first line that it printed.
	Addr string

	t     testing.TB
	cmd   *exec.Cmd
	stdin io.Closer
	ended func() error // waits
}

// Start runs the program and waits for its first line. It ends with the test,
// and its standard input with the process that started it.
func (p *Program) Start(t testing.TB, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(p.path, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	proc := &Process{t: t, cmd: cmd, stdin: stdin, ended: sync.OnceValue(cmd.Wait)}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the test may have done so
		proc.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s said nothing: %v", p.path, err)
	}
	proc.Addr = strings.TrimSpace(line)
	return proc
}

// Kill ends the process at once, as SIGKILL does.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

// Leave ends the process's standard input, which asks it to go.
func (p *Process) Leave() { _ = p.stdin.Close() }

// Wait returns when the process has ended, in whatever way.
func (p *Process) Wait() { _ = p.ended() }

// Stop halts the process until Continue: the kernel goes on to take what is sent
// to its sockets.
func (p *Process) Stop() { p.signal(syscall.SIGSTOP) }

// Continue lets a stopped process go on.
func (p *Process) Continue() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("%v: %v", s, err)
	}
}
