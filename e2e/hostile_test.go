package e2e

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// While the server is attacked a bystander's call may take this long, of a
// hundred all but one and the slowest. The bounds are wide because attackers and
// bystanders share the machine; what they rule out is a server that is held up
// until a timeout ends the attack.
const (
	bystanderP99   = 1500 * time.Millisecond
	bystanderBound = 5 * time.Second
)

// hostileCase is one attack. It returns what came back, for the table.
type hostileCase struct {
	name   string
	attack func(t *testing.T, v *victim) string
}

// TestHostilePeers attacks a server over real sockets. Each attack gets what
// SPEC.md says under bad input, twenty callers beside it notice nothing, and
// the server's memory stays below a bound.
func TestHostilePeers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is bounded by ulimit and measured in /proc")
	}
	frame := 2 * time.Second
	if !testing.Short() {
		frame = 10 * time.Second
	}
	v := startVictim(t, "-frame-timeout", frame.String(), "-write-timeout", "2s")
	cases := append(hostileFrames(), hostileFloods()...)
	cases = append(cases, hostileBodies(t)...)
	cases = append(cases, hostileSilence(frame)...)
	callers := watch(t, v.addr, 20)
	table := []string{fmt.Sprintf("%-42s %-62s %9s %10s %9s %9s", "attack", "answer", "RSS MiB", "calls", "p99", "longest")}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			callers.report()
			answer := c.attack(t, v)
			time.Sleep(50 * time.Millisecond) // a real process: what the attack did to the callers shows
			calls, p99, longest, failed := callers.report()
			if len(failed) > 0 || calls == 0 || p99 > bystanderP99 || longest > bystanderBound {
				t.Errorf("bystanders noticed: %d of %d calls failed, first %v; 99 of 100 took %v, the longest %v", len(failed), calls, errors.Join(failed[:min(1, len(failed))]...), p99, longest)
			}
			table = append(table, fmt.Sprintf("%-42s %-62.62s %9d %10d %9v %9v", c.name, answer, v.memory("VmRSS")>>10, calls, p99.Round(time.Millisecond), longest.Round(time.Millisecond)))
		})
	}
	peak, space := v.memory("VmHWM"), v.memory("VmSize")
	t.Logf("\n%s\nthe server's peak: %d MiB resident (bound %d), %d MiB of address space (ulimit %d)",
		strings.Join(table, "\n"), peak>>10, residentBound>>10, space>>10, addressSpaceKiB>>10)
	if peak == 0 || peak > residentBound {
		t.Errorf("the server held %d KiB at its peak; at most %d are allowed (0: it died)", peak, residentBound)
	}
}

func echoHeader(seq uint64) protocol.Header {
	return protocol.Header{Seq: seq, SerializeType: protocol.SerializeTypeJSON, ServiceName: "Echo", MethodName: "Echo"}
}

// hostileFrames are bytes that are no frames, and frames that lie.
func hostileFrames() []hostileCase {
	garbage := func(text string) func(*testing.T, *victim) string {
		return func(t *testing.T, v *victim) string {
			a := v.attack(t)
			_, _ = a.Write([]byte(text)) // the server may close before it has all
			if reason := a.closed(); reason != "" {
				t.Errorf("a goaway to who does not speak the frame: %q", reason)
			}
			return "closed"
		}
	}
	broken := func(text, reason string) func(*testing.T, *victim) string {
		return func(t *testing.T, v *victim) string {
			a := v.attack(t)
			a.bytes([]byte(text))
			return a.closedWith(reason)
		}
	}
	return []hostileCase{
		{"HTTP", garbage("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"a TLS hello", garbage("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
		{"a megabyte of zeros", garbage(strings.Repeat("\x00", 1<<20))},
		{"version 1", broken("\xab\xba\x01", "version")},
		{"4 GiB of header", broken("\xab\xba\x00\xff\xff\xff\xff\xff\xff\xff\xfb", "malformed")},
		{"header beyond total", broken("\xab\xba\x00\x00\x00\x00\x10\x00\x00\x00\x20", "malformed")},
		{"header of 64 KiB and one", broken("\xab\xba\x00\x00\x02\x00\x00\x00\x01\x00\x01", "malformed")},
		{"header that is a map", broken("\xab\xba\x00\x00\x00\x00\x05\x00\x00\x00\x01\x80", "malformed")},
		{"header nested 60,000 deep", func(t *testing.T, v *victim) string {
			a := v.attack(t)
			head := "\x9c\x01\x02" + strings.Repeat("\xc0", 9) + strings.Repeat("\x91", 60_000) + "\xc0"
			a.bytes(fmt.Appendf(nil, "\xab\xba\x00%s%s%s", be32(4+len(head)), be32(len(head)), head))
			if m, err := a.receive(); err != nil || m.MessageType != protocol.TypeResponse || m.Seq != 1 {
				t.Fatalf("a heartbeat with an unknown field: %+v, %v", m.Header, err)
			}
			a.lives()
			return "answered, lives"
		}},
		{"4 GiB of body", func(t *testing.T, v *victim) string {
			a := v.attack(t)
			head := protocol.AppendFrame(nil, new(echoHeader(1)), nil)
			copy(head[3:], "\xff\xff\xff\xff")
			a.bytes(head)
			a.refused(1, protocol.ResourceExhausted)
			return "ResourceExhausted NotRun, " + a.closedWith("too large")
		}},
		{"a frame above the limit", func(t *testing.T, v *victim) string {
			a := v.attack(t)
			a.send(echoHeader(1), make([]byte, protocol.DefaultMaxMessageSize))
			a.refused(1, protocol.ResourceExhausted)
			a.lives()
			return "ResourceExhausted NotRun, lives"
		}},
		{"a frame of five times the limit", func(t *testing.T, v *victim) string {
			a := v.attack(t)
			a.bytes(protocol.AppendFrameHead(nil, new(echoHeader(1)), 5*protocol.DefaultMaxMessageSize))
			a.refused(1, protocol.ResourceExhausted)
			return "ResourceExhausted NotRun, " + a.closedWith("too large")
		}},
		{"a number that is in use", func(t *testing.T, v *victim) string {
			a := v.attack(t)
			slow := echoHeader(9)
			slow.MethodName = "Sleep"
			a.send(slow, []byte(`{"ID":5000}`))
			a.send(slow, []byte(`{"ID":5000}`))
			return a.closedWith("number 9")
		}},
		{"a second hello", func(t *testing.T, v *victim) string {
			a := v.attack(t)
			hello := protocol.Header{MessageType: protocol.TypeHello, MetaData: map[string]string{protocol.MetaAgent: "attacker"}}
			a.send(hello, nil)
			a.lives()
			a.send(hello, nil)
			return a.closedWith("hello")
		}},
	}
}

func be32(n int) string { return string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) }

// hostileFloods are many frames, each of which is allowed.
func hostileFloods() []hostileCase {
	flood := func(n int, h protocol.Header, body string) func(*testing.T, *victim) string {
		return func(t *testing.T, v *victim) string {
			a := v.attack(t)
			var batch []byte
			for i := range n {
				h.Seq = uint64(i + 1000)
				batch = protocol.AppendFrame(batch, &h, []byte(body))
				if len(batch) > 64<<10 || i == n-1 {
					a.bytes(batch)
					batch = batch[:0]
				}
			}
			a.lives()
			return fmt.Sprintf("%d dropped, lives", n)
		}
	}
	return []hostileCase{
		{"cancels for unknown calls", flood(200_000, protocol.Header{MessageType: protocol.TypeCancel}, "")},
		{"replies nobody asked for", flood(50_000, protocol.Header{MessageType: protocol.TypeResponse}, strings.Repeat("r", 300))},
		{"frames of unknown types", flood(100_000, protocol.Header{MessageType: 15}, "stream")},
		{"oneways to nobody", flood(50_000, protocol.Header{MessageType: protocol.TypeOneway, ServiceName: "No", MethodName: "One"}, "x")},
		{"a ping-pong of heartbeats", func(t *testing.T, v *victim) string {
			a := v.attack(t)
			for i := range uint64(2000) {
				a.send(protocol.Header{Seq: i, MessageType: protocol.TypeHeartbeat}, nil)
				if m, err := a.receive(); err != nil || m.Seq != i {
					t.Fatalf("%+v, %v", m.Header, err)
				}
			}
			return "2000 answered"
		}},
		{"heartbeats, answers unread", func(t *testing.T, v *victim) string {
			return neverRead(t, v, protocol.AppendFrame(nil, &protocol.Header{Seq: 1, MessageType: protocol.TypeHeartbeat}, nil))
		}},
		{"calls, replies unread", func(t *testing.T, v *victim) string {
			return neverRead(t, v, protocol.AppendFrame(nil, new(echoHeader(0)), []byte(`{"Data":"`+strings.Repeat("AAAA", 2000)+`"}`)))
		}},
		{"refused calls, refusals unread", func(t *testing.T, v *victim) string {
			h := echoHeader(1)
			h.ServiceName = "Nobody"
			return neverRead(t, v, protocol.AppendFrame(nil, &h, nil))
		}},
	}
}

// neverRead sends one frame again and again, numbered anew where it is a
// request, and reads nothing until the server has had enough.
func neverRead(t *testing.T, v *victim, frame []byte) string {
	a := v.attack(t)
	_ = a.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	p, _, _ := protocol.ParsePrefix(frame)
	var h protocol.Header
	if err := protocol.ParseHeader(frame[protocol.PrefixLen:protocol.PrefixLen+p.HeaderLen], &h, nil); err != nil {
		t.Fatal(err)
	}
	body := frame[protocol.PrefixLen+p.HeaderLen:]
	begun, sent := time.Now(), 0
	var batch []byte
	for {
		batch = batch[:0]
		for len(batch) < 64<<10 {
			h.Seq++
			batch = protocol.AppendFrame(batch, &h, body)
		}
		n, err := a.Write(batch)
		sent += n
		if err == nil {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("not closed after %v and %d MiB", attackTime, sent>>20)
		}
		return fmt.Sprintf("closed after %.1fs, %d frames", time.Since(begun).Seconds(), h.Seq)
	}
}

// hostileBodies are requests in order whose bodies are not.
func hostileBodies(t *testing.T) []hostileCase {
	one := func(change func(*protocol.Header), body string, code protocol.Code) func(*testing.T, *victim) string {
		return func(t *testing.T, v *victim) string {
			a := v.attack(t)
			h := echoHeader(1)
			change(&h)
			a.send(h, []byte(body))
			m := a.refused(1, code)
			a.lives()
			return fmt.Sprintf("%v NotRun %.40q, lives", code, m.Error)
		}
	}
	cases := []hostileCase{
		{"an unknown service", one(func(h *protocol.Header) { h.ServiceName = strings.Repeat("No", 9000) }, "{}", protocol.Unimplemented)},
		{"an unknown method", one(func(h *protocol.Header) { h.MethodName = "\x00\xff\n" }, "{}", protocol.Unimplemented)},
		{"an unknown serializer", one(func(h *protocol.Header) { h.SerializeType = 99 }, "{}", protocol.Unimplemented)},
		{"an unknown compressor", one(func(h *protocol.Header) { h.CompressType = 99 }, "{}", protocol.Unimplemented)},
		{"an unknown critical flag", one(func(h *protocol.Header) { h.Flags = 1 << 31 }, "{}", protocol.Unimplemented)},
		{"a body that does not decode", one(func(*protocol.Header) {}, `{"ID":`, protocol.InvalidArgument)},
		{"a body that is not compressed", one(func(h *protocol.Header) { h.CompressType = protocol.CompressTypeZstd }, `{"ID":1}`, protocol.InvalidArgument)},
		{"bombs in every serializer", bombs},
	}
	zeros := make([]byte, 128<<20) // packed here, not while the callers' time is taken
	for _, ct := range []protocol.CompressType{protocol.CompressTypeGzip, protocol.CompressTypeSnappy, protocol.CompressTypeZstd} {
		body, err := protocol.Compress(ct, nil, zeros)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, hostileCase{"128 MiB of zeros by " + ct.String(), func(t *testing.T, v *victim) string {
			answer := one(func(h *protocol.Header) { h.CompressType = ct }, string(body), protocol.ResourceExhausted)(t, v)
			return fmt.Sprintf("%d KiB: %s", len(body)>>10, answer)
		}})
	}
	return cases
}

// bombs sends each file of protocol/testdata/bombs in every serializer to
// methods of many types; with -short to fewer.
func bombs(t *testing.T, v *victim) string {
	files, err := filepath.Glob("../protocol/testdata/bombs/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bombs: %v", err)
	}
	a, seq := v.attack(t), uint64(0)
	_ = a.SetDeadline(time.Now().Add(4 * attackTime))
	count := map[protocol.Code]int{}
	for _, file := range files {
		body := readBomb(t, file)
		for st := range protocol.SerializeType(4) {
			for _, method := range bombMethods(filepath.Base(file), st) {
				seq++
				a.send(protocol.Header{Seq: seq, SerializeType: st, ServiceName: "Take", MethodName: method}, body)
				m, err := a.receive()
				if err != nil || m.Seq != seq {
					t.Fatalf("%s by %v to %s: %+v, %v", filepath.Base(file), st, method, m.Header, err)
				}
				count[m.StatusCode]++
				judgeBomb(t, filepath.Base(file), st, method, &m)
			}
		}
	}
	a.lives()
	return fmt.Sprintf("%d InvalidArgument, %d ResourceExhausted, %d decoded, lives", count[protocol.InvalidArgument], count[protocol.ResourceExhausted], count[protocol.OK])
}

// bombMethods are those that a bomb is sent to. With -short a serializer that is
// not the bomb's own has to refuse it once.
func bombMethods(file string, st protocol.SerializeType) []string {
	methods := []string{"List", "Map", "Tree", "Ints", "Structs", "Strings", "Bytes"}
	switch {
	case !testing.Short():
		return methods
	case strings.HasPrefix(file, st.String()):
		return methods[:3]
	}
	return methods[2:3]
}

// judgeBomb: what is well formed in another serializer, or harmless in its own,
// may be decoded; counts and depth may not.
func judgeBomb(t *testing.T, file string, st protocol.SerializeType, method string, m *protocol.Message) {
	t.Helper()
	own := strings.HasPrefix(file, st.String()+"_count") || strings.HasPrefix(file, st.String()+"_depth")
	switch {
	case m.StatusCode == protocol.OK && !own:
	case m.StatusCode == protocol.OK && method == "Bytes" && st == protocol.SerializeTypeRaw:
	case (m.StatusCode == protocol.InvalidArgument || m.StatusCode == protocol.ResourceExhausted) && m.Flags&protocol.FlagNotRun != 0:
	default:
		t.Errorf("%s by %v to %s: %v %q, flags %v", file, st, method, m.StatusCode, m.Error, m.Flags)
	}
}

// readBomb reads a file in the format that testdata/bombs/README.md describes.
func readBomb(t *testing.T, path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Fields(line) {
			digits, times, repeated := strings.Cut(word, "*")
			b, err := hex.DecodeString(digits)
			n := 1
			if err == nil && repeated {
				n, err = strconv.Atoi(times)
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			out = append(out, strings.Repeat(string(b), n)...)
		}
	}
	return out
}

// hostileSilence are peers that begin something and do not go on.
func hostileSilence(limit time.Duration) []hostileCase {
	whole := protocol.AppendFrame(nil, new(echoHeader(1)), make([]byte, 200_000))
	within := func(limit time.Duration, send func(a *attacker, closed <-chan struct{})) func(t *testing.T, v *victim) string {
		return func(t *testing.T, v *victim) string {
			a := v.attack(t)
			begun := time.Now()
			closed := make(chan struct{})
			var sender sync.WaitGroup
			sender.Go(func() { send(a, closed) })
			a.closed()
			took := time.Since(begun)
			close(closed)
			sender.Wait()
			if took < limit-limit/10 || took > limit+2*time.Second {
				t.Errorf("closed after %v, want %v", took, limit)
			}
			return fmt.Sprintf("closed after %.1fs", took.Seconds())
		}
	}
	bytes := func(n int) func(*attacker, <-chan struct{}) {
		return func(a *attacker, _ <-chan struct{}) { _, _ = a.Write(whole[:n]) } // the reader sees what becomes of it
	}
	return []hostileCase{
		{"half a header and silence", within(limit, bytes(20))},
		{"part of a body and silence", within(limit, bytes(10_000))},
		{"a byte every nine tenths of the limit", within(limit, func(a *attacker, closed <-chan struct{}) {
			gap := time.NewTicker(limit * 9 / 10)
			defer gap.Stop()
			for _, b := range whole {
				_, _ = a.Write([]byte{b}) // the reader sees what becomes of it
				select {
				case <-gap.C:
				case <-closed:
					return
				}
			}
		})},
		{"idle between frames", func(t *testing.T, v *victim) string {
			a := v.attack(t)
			a.lives()
			time.Sleep(limit + limit/2)
			a.lives()
			return "no fault, lives"
		}},
	}
}
