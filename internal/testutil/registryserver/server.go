// Package registryserver starts real registry servers for tests, on free ports
// of the loopback interface, and does to them what happens to servers: kills
// them, freezes them, cuts their connections. Every server ends with its test,
// and on Linux with its process.
package registryserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// startLimit is how long a server may take until it answers.
const startLimit = 60 * time.Second

// Server is one server process.
type Server struct {
	t     testing.TB
	name  string
	addr  string
	args  []string
	ready func(addr string) error
	log   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
}

// Addr returns host:port of the clients' port.
func (s *Server) Addr() string { return s.addr }

// Kill ends the server at once, as a power cut does.
func (s *Server) Kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	<-s.ended
}

// Restart starts a server that was killed, on the same port and data, and waits
// until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.start()
}

// Freeze stops the process without closing anything; Thaw lets it go on.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("%s: %v: %v\n%s", s.name, sig, err, s.tail())
	}
}

// launch starts a server for the first time.
func launch(t testing.TB, name, addr string, ready func(string) error, args ...string) *Server {
	t.Helper()
	s := begin(t, name, addr, ready, args...)
	s.await()
	return s
}

// begin starts a server and does not wait for it.
func begin(t testing.TB, name, addr string, ready func(string) error, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, name: name, addr: addr, args: args, ready: ready, log: filepath.Join(t.TempDir(), "log")}
	s.run()
	t.Cleanup(s.stop)
	return s
}

func (s *Server) start() {
	s.t.Helper()
	s.run()
	s.await()
}

func (s *Server) run() {
	s.t.Helper()
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = childOfTest()
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
	ended, cmd := make(chan struct{}), s.cmd
	s.ended = ended
	go func() {
		_ = cmd.Wait() // killed, as a rule
		close(ended)
	}()
}

func (s *Server) await() {
	s.t.Helper()
	limit := time.Now().Add(startLimit)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := s.ready(s.addr)
		if err == nil {
			return
		}
		select {
		case <-s.ended:
			s.t.Fatalf("%s ended at once:\n%s", s.name, s.tail())
		case <-again.C:
		}
		if time.Now().After(limit) {
			s.t.Fatalf("%s does not answer after %v: %v\n%s", s.name, startLimit, err, s.tail())
		}
	}
}

func (s *Server) stop() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

func (s *Server) tail() []byte {
	text, _ := os.ReadFile(s.log) // empty says enough
	return text[max(0, len(text)-4096):]
}

// missing ends a test that needs a server which is not installed: it fails where
// servers are required, as in continuous integration, and skips elsewhere.
func missing(t testing.TB, what, remedy string) {
	t.Helper()
	text := fmt.Sprintf("%s IS NOT INSTALLED, so nothing of it is tested: %s", what, remedy)
	if os.Getenv("CI") != "" || os.Getenv("SINEW_REQUIRE_SERVERS") != "" {
		t.Fatal(text)
	}
	fmt.Fprintln(os.Stderr, t.Name()+": "+text)
	t.Skip(text)
}

// freeAddr returns a port that was free a moment ago.
func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // made by freeAddr
	return port
}
