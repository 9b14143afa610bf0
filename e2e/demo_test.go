package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoUser is somebody with a home of their own who types what the README says.
type demoUser struct {
	*testing.T
	exe string
	env []string
}

func newDemoUser(t *testing.T) *demoUser {
	t.Helper()
	u := &demoUser{T: t, exe: filepath.Join(t.TempDir(), "demo")}
	if out, err := exec.Command("go", "build", "-o", u.exe, "../demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	home := t.TempDir()
	u.env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache"))
	return u
}

func (u *demoUser) command(args ...string) *exec.Cmd {
	cmd := exec.Command(u.exe, args...)
	cmd.Env = u.env
	return cmd
}

// run runs the program to its end.
func (u *demoUser) run(args ...string) (code int, stdout, stderr string) {
	u.Helper()
	var out, errs bytes.Buffer
	cmd := u.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// wants runs the program, which must end well and say each of texts.
func (u *demoUser) wants(args []string, texts ...string) {
	u.Helper()
	code, out, errs := u.run(args...)
	if code != 0 {
		u.Fatalf("%q: exit %d\n%s\n%s", args, code, out, errs)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			u.Errorf("%q is not in\n%s", text, out)
		}
	}
}

// demoServer is a terminal in which a server runs.
type demoServer struct {
	u    *demoUser
	cmd  *exec.Cmd
	said chan string // all that it said, once it has ended
}

// server starts one and waits until it serves.
func (u *demoUser) server(args ...string) *demoServer {
	u.Helper()
	s := &demoServer{u: u, cmd: u.command(append([]string{"server"}, args...)...), said: make(chan string, 1)}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		u.Fatal(err)
	}
	u.Cleanup(func() { _ = s.cmd.Process.Kill() }) // it has ended, unless the test failed
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil || !strings.Contains(first, "serves at") {
		u.Fatalf("the server said %q, %v", first, err)
	}
	go func() {
		rest, _ := io.ReadAll(lines) // its end is what matters
		s.said <- first + string(rest)
	}()
	return s
}

// interrupt is Ctrl-C; it returns what the server said.
func (s *demoServer) interrupt() string {
	s.u.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		s.u.Fatal(err)
	}
	said := <-s.said
	if err := s.cmd.Wait(); err != nil {
		s.u.Errorf("the server ended with %v\n%s", err, said)
	}
	return said
}

// The README's first steps, in processes of their own: servers and clients that
// name no registry meet in a BoltDB file of the user's.
func TestDemoInTwoTerminals(t *testing.T) {
	u := newDemoUser(t)
	one, two := u.server("-addr", "127.0.0.1:0"), u.server("-addr", "127.0.0.1:0")
	u.wants([]string{"client", "ArithService.Add", `{"A":1,"B":2}`}, `"C": 3`)
	u.wants([]string{"client", "-duration", "2s", "-callers", "8"}, "0 wrong", "failed   0")

	for _, s := range []*demoServer{one, two} {
		said := s.interrupt()
		for _, text := range []string{"draining", "ended: ", "0 with an error"} {
			if !strings.Contains(said, text) {
				t.Errorf("%q is not in\n%s", text, said)
			}
		}
		if strings.Contains(said, "ended: 0 requests") {
			t.Errorf("this server was never called:\n%s", said)
		}
		if s == one {
			u.wants([]string{"client", "-duration", "1s", "-callers", "8"}, "0 wrong", "failed   0")
		}
	}
	began := time.Now()
	code, _, errs := u.run("client", "ArithService.Add", `{"A":1,"B":2}`)
	if code != 1 || !strings.Contains(errs, `under "demo" in the registry bolt`) || !strings.Contains(errs, "go run ./demo server") {
		t.Errorf("without a server: exit %d after %v, %s", code, time.Since(began), errs)
	}
}
