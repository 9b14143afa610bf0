package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

const (
	hostileConnections = 2000
	hostileTime        = 5 * time.Minute

	// ceilingBound is what the server may hold, in KiB, asserted of VmHWM: 64 MiB
	// of bodies in flight, half as much for those that still arrive, 1 MiB of
	// replies for each connection of those that never read (250 MiB), and 64 KiB of
	// buffers and stacks for each connection (125 MiB); the rest is for what the
	// collector has not taken yet.
	ceilingBound = residentBound

	// ceilingSlower is how many times as long as those of callers of another
	// server, on the same machine and at the same time, the good callers' calls may
	// take, of a hundred all but one. What is below ceilingFloor says nothing.
	ceilingSlower = 3
	ceilingFloor  = 50 * time.Millisecond
)

// hostile is one way of using a connection, again and again: it returns when the
// connection is of no more use.
type hostile struct {
	name string
	use  func(m *mob, conn net.Conn)
}

var hostiles = []hostile{
	{"says nothing", func(_ *mob, conn net.Conn) { untilClosed(conn) }},
	{"half a prefix", func(_ *mob, conn net.Conn) {
		_, _ = conn.Write([]byte("\xab\xba\x00\x00\x00"))
		untilClosed(conn)
	}},
	{"garbage", func(_ *mob, conn net.Conn) {
		noise := make([]byte, 4096)
		for i := 0; i < len(noise); i += 8 {
			binary.LittleEndian.PutUint64(noise[i:], rand.Uint64())
		}
		_, _ = conn.Write(noise)
		untilClosed(conn)
	}},
	{"a body too slow", func(m *mob, conn net.Conn) { m.drip(conn, 1<<10) }},
	{"a body just fast enough", func(m *mob, conn net.Conn) { m.drip(conn, 24<<10) }},
	{"asks and never reads", func(m *mob, conn net.Conn) {
		_ = conn.(*net.TCPConn).SetReadBuffer(4096) // the kernel's choice is as good
		body := fmt.Sprintf(`{"ID":1,"Data":%q}`, strings.Repeat("A", 32<<10))
		var seq uint64
		m.each(time.Second, func() error {
			seq++
			_, err := conn.Write(hostileCall(seq, "Echo", body))
			return err
		})
	}},
	{"keeps methods busy", func(m *mob, conn net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
		var seq uint64
		m.each(5*time.Second, func() error {
			var frames []byte
			for range 16 {
				seq++
				frames = append(frames, hostileCall(seq, "Sleep", `{"ID":5000}`)...)
			}
			_, err := conn.Write(frames)
			return err
		})
	}},
	{"bombs", func(m *mob, conn net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
		h := protocol.Header{Seq: 1, SerializeType: protocol.SerializeTypeMsgpack, ServiceName: "Take", MethodName: "Ints"}
		frame := protocol.AppendFrame(nil, &h, []byte("\xdd\x7f\xff\xff\xff"))
		m.each(time.Second, func() error { _, err := conn.Write(frame); return err })
	}},
}

func hostileCall(seq uint64, method, body string) []byte {
	h := echoHeader(seq)
	h.MethodName = method
	return protocol.AppendFrame(nil, &h, []byte(body))
}

// untilClosed reads until the server closes the connection, or the test does.
func untilClosed(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// mob is all the hostile connections.
type mob struct {
	addr    string
	stop    chan struct{}
	members sync.WaitGroup
	dials   atomic.Int64

	mu sync.Mutex
	// Guarded by mu:
	open map[net.Conn]struct{}
}

// gather starts n of them, in turn of every kind.
func gather(addr string, n int) *mob {
	m := &mob{addr: addr, stop: make(chan struct{}), open: make(map[net.Conn]struct{})}
	for i := range n {
		m.members.Go(func() { m.member(hostiles[i%len(hostiles)]) })
	}
	return m
}

// member uses one connection after the other.
func (m *mob) member(h hostile) {
	for m.wait(rand.N(5 * time.Second)) {
		conn, err := net.Dial("tcp", m.addr)
		if err != nil {
			continue
		}
		m.dials.Add(1)
		if m.hold(conn) {
			h.use(m, conn)
		}
		m.drop(conn)
	}
}

// drip sends a body of a megabyte at so many bytes a second.
func (m *mob) drip(conn net.Conn, perSecond int) {
	h := echoHeader(1)
	frame := protocol.AppendFrame(nil, &h, make([]byte, 1<<20))
	m.each(time.Second, func() error {
		n := min(len(frame), perSecond)
		if n == 0 {
			return io.EOF
		}
		_, err := conn.Write(frame[:n])
		frame = frame[n:]
		return err
	})
}

// each does something again and again until it fails.
func (m *mob) each(pause time.Duration, do func() error) {
	for do() == nil && m.wait(pause) {
	}
}

// wait returns false when it is over.
func (m *mob) wait(pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-m.stop:
		return false
	}
}

func (m *mob) hold(conn net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[conn] = struct{}{}
	return !isClosed(m.stop)
}

func (m *mob) drop(conn net.Conn) {
	_ = conn.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, conn)
}

func (m *mob) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.open)
}

// disperse ends all of them.
func (m *mob) disperse() {
	close(m.stop)
	m.mu.Lock()
	for conn := range m.open {
		_ = conn.Close() // so that whoever reads or writes returns
	}
	m.mu.Unlock()
	m.members.Wait()
}

// Two thousand hostile connections of mixed kinds, for minutes: the server's
// memory stays below a bound that was stated before, and a hundred good callers
// are served nearly as those of a server beside it that nobody attacks.
// SINEW_HOSTILE_TIME shortens it.
func TestMemoryCeilingUnderAMob(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is bounded by ulimit and measured in /proc")
	}
	if testing.Short() {
		t.Skip("it takes minutes: make test-all runs it")
	}
	lasts := hostileTime
	if text := os.Getenv("SINEW_HOSTILE_TIME"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	v := startVictim(t)
	callers := watchEvery(t, v.addr, 100, 100*time.Millisecond)
	spared := watchEvery(t, startVictim(t).addr, 100, 100*time.Millisecond)
	time.Sleep(time.Second) // they connect
	before := v.memory("VmRSS")
	m := gather(v.addr, hostileConnections)
	time.Sleep(5 * time.Second) // and these
	callers.report()
	spared.report()
	time.Sleep(lasts)
	open, dials := m.size(), m.dials.Load()
	calls, p99, longest, failed := callers.report()
	_, normal, _, _ := spared.report()
	m.disperse()
	peak := v.memory("VmHWM")
	t.Logf("%d hostile connections open at the end, %d made, in %v; resident %d MiB before, %d MiB at most (bound %d); good callers: %d calls, %d failed, p99 %v, longest %v; of a server that was spared p99 %v",
		open, dials, lasts, before>>10, peak>>10, ceilingBound>>10, calls, len(failed), p99, longest, normal)
	if peak == 0 || peak > ceilingBound {
		t.Errorf("the server held %d KiB at its peak; at most %d are allowed (0: it died)", peak, ceilingBound)
	}
	if len(failed) > 0 || calls == 0 {
		t.Errorf("%d of %d calls of good callers failed: %v", len(failed), calls, errors.Join(failed[:min(3, len(failed))]...))
	}
	if bound := max(ceilingSlower*normal, ceilingFloor); p99 > bound {
		t.Errorf("of a hundred calls of good callers all but one took %v, and %v where nobody was hostile: more than %v", p99, normal, bound)
	}
	if open < hostileConnections/2 {
		t.Errorf("%d hostile connections are too few to tell anything", open)
	}
}
