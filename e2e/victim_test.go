package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// The bounds on the server under attack. The address space is held by ulimit -v,
// so that a process which believes a lie dies; of it the runtime reserves about
// 1235 MiB at start without using them.
const (
	addressSpaceKiB = 2 << 20
	residentBound   = 512 << 10 // KiB, asserted of VmHWM
)

// victim is a server process under attack.
type victim struct {
	addr string
	cmd  *exec.Cmd
	errs strings.Builder
}

// startVictim builds e2e/internal/victim and runs it under the memory limit.
func startVictim(t *testing.T, args ...string) *victim {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "victim")
	build := exec.Command("go", "build", "-o", exe, "./internal/victim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // C's threads reserve address space of their own
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	script := fmt.Sprintf(`ulimit -v %d && exec "$0" "$@"`, addressSpaceKiB)
	v := &victim{cmd: exec.Command("sh", append([]string{"-c", script, exe}, args...)...)}
	v.cmd.Stderr = &v.errs
	out, err := v.cmd.StdoutPipe()
	if err == nil {
		err = v.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = v.cmd.Process.Kill() // it may have died, which the test has seen
		_ = v.cmd.Wait()
		if t.Failed() {
			t.Logf("the server said:\n%.4000s", v.errs.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	v.addr = strings.TrimSpace(line)
	return v
}

// memory returns a line of /proc/<pid>/status in KiB, 0 where there is none.
func (v *victim) memory(name string) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// attacker is a raw connection to the victim.
type attacker struct {
	net.Conn
	t *testing.T
}

// attackTime bounds what one attack may wait for.
const attackTime = 30 * time.Second

func (v *victim) attack(t *testing.T) *attacker {
	t.Helper()
	conn, err := net.Dial("tcp", v.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(attackTime))
	return &attacker{conn, t}
}

// send writes a frame.
func (a *attacker) send(h protocol.Header, body []byte) {
	a.t.Helper()
	a.bytes(protocol.AppendFrame(nil, &h, body))
}

func (a *attacker) bytes(b []byte) {
	a.t.Helper()
	if _, err := a.Write(b); err != nil {
		a.t.Fatal(err)
	}
}

// receive reads the next frame but for the server's hello, which nobody asked
// for.
func (a *attacker) receive() (protocol.Message, error) {
	for {
		m, err := a.receiveAny()
		if err != nil || m.MessageType != protocol.TypeHello {
			return m, err
		}
	}
}

func (a *attacker) receiveAny() (protocol.Message, error) {
	prefix := make([]byte, protocol.PrefixLen)
	if _, err := io.ReadFull(a, prefix); err != nil {
		return protocol.Message{}, err
	}
	p, _, err := protocol.ParsePrefix(prefix)
	if err != nil {
		return protocol.Message{}, err
	}
	rest := make([]byte, p.HeaderLen+p.BodyLen)
	if _, err := io.ReadFull(a, rest); err != nil {
		return protocol.Message{}, err
	}
	var m protocol.Message
	err = protocol.ParseHeader(rest[:p.HeaderLen], &m.Header, nil)
	m.Body = rest[p.HeaderLen:]
	return m, err
}

// refused reads an answer that must carry code and NotRun.
func (a *attacker) refused(seq uint64, code protocol.Code) protocol.Message {
	a.t.Helper()
	m, err := a.receive()
	if err != nil || m.MessageType != protocol.TypeResponse || m.Seq != seq || m.StatusCode != code || m.Flags&protocol.FlagNotRun == 0 {
		a.t.Fatalf("got %v %d %v %q flags %v, %v; want %v with NotRun", m.MessageType, m.Seq, m.StatusCode, m.Error, m.Flags, err, code)
	}
	return m
}

// lives makes a good call on this very connection.
func (a *attacker) lives() {
	a.t.Helper()
	const seq = 1 << 40
	a.send(protocol.Header{Seq: seq, SerializeType: protocol.SerializeTypeJSON, ServiceName: "Echo", MethodName: "Echo"}, []byte(`{"ID":7}`))
	for {
		m, err := a.receive()
		if err != nil {
			a.t.Fatalf("the connection did not live: %v", err)
		}
		if m.MessageType == protocol.TypeResponse && m.Seq == seq {
			if m.StatusCode != protocol.OK || !strings.Contains(string(m.Body), `"ID":7`) {
				a.t.Fatalf("a good call got %v %q, %s", m.StatusCode, m.Error, m.Body)
			}
			return
		}
	}
}

// closed reads to the end of the connection and returns the reason that a
// goaway gave, "" without one.
func (a *attacker) closed() (reason string) {
	a.t.Helper()
	for {
		m, err := a.receive()
		if err == nil {
			if m.MessageType == protocol.TypeGoAway {
				reason = m.Error
			}
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			a.t.Fatalf("the connection was not closed in %v", attackTime)
		}
		return reason
	}
}

// closedWith is closed with a goaway whose reason contains text.
func (a *attacker) closedWith(text string) string {
	a.t.Helper()
	reason := a.closed()
	if !strings.Contains(reason, text) {
		a.t.Fatalf("the reason given was %q, want one with %q", reason, text)
	}
	return fmt.Sprintf("goaway %.60q, closed", reason)
}
