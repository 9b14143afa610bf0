package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// ledger is what both ends of a fuzzed connection saw of each call. A call is
// known by its service name, which the header brings before the body.
type ledger struct {
	pace Pace // of all tasks: they are taken for quick until one of them is found out

	mu sync.Mutex
	// Guarded by mu:
	arrived, ran map[string]bool
	told         map[string]error // what the callers got
	made         int
}

func newLedger() *ledger {
	l := &ledger{arrived: map[string]bool{}, ran: map[string]bool{}, told: map[string]error{}}
	l.pace.score.Store(mostQuick)
	return l
}

// quiet throws away what the programs provoke in the log.
func quiet(f *testing.F) {
	log.SetHandler(slog.DiscardHandler)
	f.Cleanup(func() { log.SetHandler(nil) })
}

func (l *ledger) note(m map[string]bool, id string) {
	l.mu.Lock()
	m[id] = true
	l.mu.Unlock()
}

func (l *ledger) nextID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	return "c" + strconv.Itoa(l.made)
}

func (l *ledger) tell(id string, err error) {
	l.mu.Lock()
	l.told[id] = err
	l.mu.Unlock()
}

// judge compares what the callers were told with what the other end saw, once
// nothing can arrive any more.
func (l *ledger) judge(t *testing.T) {
	for id, err := range l.told {
		switch o := protocol.OutcomeOf(err); {
		case o == protocol.NotSent && l.arrived[id]:
			t.Errorf("%s arrived, and its caller was told NotSent: %v", id, err)
		case o == protocol.Refused && l.ran[id]:
			t.Errorf("%s ran, and its caller was told Refused: %v", id, err)
		case o == protocol.Ran && !l.ran[id]:
			t.Errorf("%s did not run, and its caller was told Ran: %v", id, err)
		}
	}
}

// Admit refuses the method "no", and panics for "panic".
func (l *ledger) Admit(_ context.Context, h *protocol.Header, _ int) (any, error) {
	l.note(l.arrived, h.ServiceName)
	switch h.MethodName {
	case "no":
		return nil, protocol.NewError(protocol.PermissionDenied, "no")
	case "panic":
		panic("admission")
	}
	return nil, nil
}

func (l *ledger) Hello(*Session, *protocol.Header) {}

func (l *ledger) Accept(s *Session, h *protocol.Header, _ any, body *Buffer, deadline time.Time) Task {
	return &fuzzTask{l: l, serviceTask: serviceTask{s: s, h: *h, body: body, deadline: deadline, cancelled: make(chan struct{})}}
}

// fuzzTask does what its method's name says and answers with what it was sent.
type fuzzTask struct {
	serviceTask
	l *ledger
}

func (t *fuzzTask) Pace() *Pace { return &t.l.pace }

func (t *fuzzTask) Run() {
	select {
	case <-t.cancelled:
		t.body.Release()
		t.end(nil, protocol.NewError(protocol.Canceled, "before it ran"), true)
		return
	default:
	}
	t.l.note(t.l.ran, t.h.ServiceName)
	t.behave()
	if strings.HasPrefix(t.h.MethodName, "fail") {
		t.body.Release()
		t.end(nil, protocol.NewError(protocol.Aborted, strings.Repeat("x", 9000)), false)
		return
	}
	t.end(t.body, nil, false)
}

func (t *fuzzTask) behave() {
	name, arg, _ := strings.Cut(t.h.MethodName, " ")
	n, _ := strconv.Atoi(arg)
	switch name {
	case "sleep":
		timer := time.NewTimer(time.Duration(n) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-t.cancelled:
		}
	case "hang":
		<-t.cancelled
	case "back": // calls its caller before it answers
		id := t.l.nextID()
		h := &protocol.Header{ServiceName: id, MethodName: "echo"}
		reply, err := t.s.RoundTrip(t.s, in(time.Second), h, text("back"))
		if err == nil {
			err = protocol.FromResponse(&reply.Header)
		}
		reply.Release()
		t.l.tell(id, err)
	}
}

func (t *fuzzTask) end(body *Buffer, err error, notRun bool) {
	if t.Oneway() {
		body.Release()
		t.s.Finish(t.h.Seq)
		return
	}
	h := protocol.Header{Seq: t.h.Seq}
	if err != nil {
		protocol.ToResponse(&h, err, notRun)
	}
	_ = t.s.Reply(&h, body) // the session may have ended
}

// fuzzed is a connection under a program: two sessions that call each other.
type fuzzed struct {
	t       *testing.T
	l       *ledger
	cfg     [2]*SessionConfig
	conn    [2]*MemConn
	session [2]*Session
	calls   sync.WaitGroup
	cancels []context.CancelFunc
	liar    bool // the peer is no session: what it says is not what happened
}

// opaque hides that a connection can write without blocking, as TLS cannot.
type opaque struct{ net.Conn }

func (o opaque) CloseWrite() error { return o.Conn.(*MemConn).CloseWrite() }

// fuzzConfig makes a side tight or roomy, with hello or without.
func fuzzConfig(l *ledger, bits byte) *SessionConfig {
	cfg := newConfig(nil)
	cfg.Handler = l
	cfg.FrameTimeout, cfg.WriteTimeout = time.Second, time.Second
	if bits&1 != 0 {
		cfg.Room, cfg.MaxQueued = NewRoom(3, 100_000), 5_000
	}
	if bits&2 != 0 {
		cfg.MaxMessageSize = 30_000
		cfg.Hello = map[string]string{protocol.MetaMaxMessage: "30000"}
	}
	if bits&4 != 0 {
		cfg.ReadPause = -1
	}
	return cfg
}

func newFuzzed(t *testing.T, setup byte) *fuzzed {
	f := &fuzzed{t: t, l: newLedger()}
	f.conn[0], f.conn[1] = memPair(t, MemFaults{})
	for side := range 2 {
		bits := setup >> (4 * side)
		f.cfg[side] = fuzzConfig(f.l, bits)
		var conn net.Conn = f.conn[side]
		if bits&8 != 0 {
			conn = opaque{conn}
		}
		f.session[side] = start(t, conn, f.cfg[side])
	}
	return f
}

// call makes a call on a goroutine of its own and judges how it ends.
func (f *fuzzed) call(side int, method string, size int, timeout time.Duration, typ protocol.MessageType) {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancels = append(f.cancels, cancel)
	var deadline time.Time
	if timeout > 0 {
		deadline = in(timeout)
	}
	id := f.l.nextID()
	body := strings.Repeat("x", size)
	f.calls.Go(func() {
		defer cancel()
		reply, err := f.session[side].RoundTrip(ctx, deadline, &protocol.Header{MessageType: typ, ServiceName: id, MethodName: method}, text(body))
		if !deadline.IsZero() && time.Now().After(deadline) {
			f.t.Errorf("%s %s ended %v after its deadline", id, method, time.Since(deadline))
		}
		if e := (*protocol.Error)(nil); err != nil && !errors.As(err, &e) {
			f.t.Errorf("%s %s ended with a %T: %v", id, method, err, err)
		}
		if err == nil {
			err = protocol.FromResponse(&reply.Header)
		}
		if typ == protocol.TypeRequest || err != nil { // that a oneway was written does not say that it ran
			f.l.tell(id, err)
		}
		if !f.liar && typ == protocol.TypeRequest && err == nil && string(reply.Body) != body {
			f.t.Errorf("%s %s: the reply is not what was sent", id, method)
		}
		reply.Release()
	})
}

// do runs one operation of the program.
func (f *fuzzed) do(side int, op, arg byte) {
	s, d := f.session[side], time.Duration(arg)*time.Millisecond
	switch op {
	case 0:
		f.call(side, "echo", int(arg), time.Second, protocol.TypeRequest)
	case 1:
		f.call(side, "echo", int(arg)*1000, 0, protocol.TypeRequest)
	case 2:
		f.call(side, "hang", int(arg), d, protocol.TypeRequest)
	case 3:
		f.call(side, fmt.Sprintf("sleep %d", 3*int(arg)), 100, 0, protocol.TypeRequest)
	case 4:
		f.call(side, "sleep 5", int(arg)*200, d, protocol.TypeOneway)
	case 5:
		f.call(side, "", 0, time.Second, protocol.TypeHeartbeat)
	case 6:
		if n := len(f.cancels); n > 0 {
			f.cancels[int(arg)%n]()
		}
	case 7:
		s.GoAway("as the program says")
	case 8:
		f.conn[side].SetFaults(BothWays(MemPath{Latency: d, Jitter: d, Buffer: 1 + 40*int(arg)}))
	case 9:
		f.conn[side].SetFaults(MemFaults{ToDialer: MemPath{Stall: arg&1 != 0, Blackhole: arg&2 != 0, Buffer: 500}, ToListener: MemPath{Stall: arg&4 != 0, Bandwidth: 100 * int64(arg)}})
	case 10:
		f.conn[side].SetFaults(MemFaults{})
	case 11:
		time.Sleep(10 * d)
	case 12:
		f.breakConn(side, arg)
	case 13:
		if arg%4 == 0 {
			s.Fail(errors.New("killed by the program"))
		}
	case 14:
		f.call(side, []string{"no", "panic", "fail", "back"}[arg%4], int(arg), time.Second, protocol.TypeRequest)
	case 15:
		for range arg % 40 {
			f.call(side, "echo", 10*int(arg), 0, protocol.TypeRequest)
		}
	}
	if arg&1 != 0 {
		synctest.Wait()
	}
}

// breakConn does to a connection what networks and broken peers do.
func (f *fuzzed) breakConn(side int, arg byte) {
	switch arg % 5 {
	case 0:
		f.conn[side].Cut()
	case 1:
		_ = f.conn[side].CloseWrite()
	case 2:
		_ = f.conn[side].Abort()
	case 3:
		f.conn[side].SetFaults(BothWays(MemPath{CutAfter: 1 + 20*int64(arg)}))
	case 4: // garbage, between two frames
		s := f.session[side]
		s.mu.Lock()
		if !s.out.busy {
			_, _ = f.conn[side].TryWrite([]byte("\xff\xff\xff garbage"))
		}
		s.mu.Unlock()
	}
}

// end closes everything and looks at what is left.
func (f *fuzzed) end() {
	if !f.liar {
		defer f.l.judge(f.t)
	}
	time.Sleep(time.Minute)
	for _, s := range f.session {
		_ = s.Close()
	}
	f.calls.Wait()
	for side, cfg := range f.cfg {
		cfg.CancelSpared(ErrSessionClosed)
		cfg.Workers.Close()
		r := cfg.Room
		if r.InFlight() != 0 || r.Bytes() != 0 || r.partial.Load() != 0 {
			f.t.Errorf("side %d: room for %d requests, %d bytes and %d of partial bodies was not given back", side, r.InFlight(), r.Bytes(), r.partial.Load())
		}
		if n := len(cfg.spared.all()); n != 0 {
			f.t.Errorf("side %d: %d ended sessions are kept", side, n)
		}
		if calls, tasks := f.session[side].Load(); calls != 0 || tasks != 0 {
			f.t.Errorf("side %d: %d calls and %d tasks are left", side, calls, tasks)
		}
	}
}

// FuzzSession drives two sessions over one connection by a program: a byte that
// sets them up, then two bytes an operation. Whatever happens, every call ends,
// by its deadline, with an outcome that agrees with what the other end saw, and
// after both sessions are closed no room is taken and no goroutine left (which
// the bubble would report as a deadlock).
func FuzzSession(f *testing.F) {
	quiet(f)
	f.Add([]byte{0x00, 0x00, 1, 0x10, 1, 0x01, 200, 0x11, 200, 0x04, 9, 0x05, 1})
	f.Add([]byte{0x33, 0x0f, 39, 0x1f, 39, 0x07, 1, 0x00, 1, 0x17, 1, 0x0b, 99})
	f.Add([]byte{0x80, 0x02, 50, 0x06, 0, 0x03, 30, 0x0c, 0})
	f.Add([]byte{0x08, 0x09, 7, 0x0f, 30, 0x01, 255, 0x0b, 200, 0x0a, 0, 0x0b, 1})
	f.Add([]byte{0x11, 0x08, 3, 0x0f, 37, 0x1e, 3, 0x1e, 7, 0x0c, 4, 0x0b, 3})
	f.Add([]byte{0xff, 0x0e, 0, 0x0e, 1, 0x0e, 2, 0x0e, 3, 0x0d, 0, 0x00, 1})
	f.Add([]byte{0x22, 0x01, 60, 0x01, 31, 0x01, 130, 0x0b, 1, 0x0c, 13, 0x01, 20})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) == 0 || len(program) > 120 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			fz := newFuzzed(t, program[0])
			for p := program[1:]; len(p) >= 2; p = p[2:] {
				fz.do(int(p[0]>>4)&1, p[0]&15, p[1])
			}
			fz.end()
		})
	})
}

// FuzzSessionPeer drives a session whose peer is no session: it sends what the
// program says, frames true and false, whole and in pieces, and reads when it
// likes. The peer may lie about what ran, so only what the session owes itself
// is asked: calls end by their deadline with a typed error, and nothing is left.
func FuzzSessionPeer(f *testing.F) {
	quiet(f)
	for _, typ := range []byte{0, 1, 2, 3, 4, 5, 6, 9} {
		f.Add([]byte{0x11, typ, 1, typ, 2, 7, 1, typ, 1, 8, 3, 12, 50})
	}
	f.Add([]byte{0x00, 8, 1, 1, 1, 8, 2, 1, 2, 11, 1, 1, 3})
	f.Add([]byte{0x01, 10, 200, 0, 9, 10, 3, 12, 255, 8, 1})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) == 0 || len(program) > 120 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			f := newFuzzedPeer(t, program[0])
			for p := program[1:]; len(p) >= 2; p = p[2:] {
				f.do(p[0], p[1])
			}
			_ = f.peer.Close()
			f.end()
		})
	})
}

type fuzzedPeer struct {
	fuzzed
	peer *MemConn
}

func newFuzzedPeer(t *testing.T, setup byte) *fuzzedPeer {
	f := &fuzzedPeer{}
	f.t, f.l, f.liar = t, newLedger(), true
	f.conn[0], f.peer = memPair(t, MemFaults{})
	for side := range 2 {
		f.cfg[side] = fuzzConfig(f.l, setup)
	}
	f.session[0] = start(t, f.conn[0], f.cfg[0])
	f.session[1] = f.session[0] // end closes it twice
	return f
}

// frame makes a frame out of two bytes of the program.
func (f *fuzzedPeer) frame(op, arg byte) []byte {
	h := protocol.Header{Seq: uint64(arg % 8), MessageType: protocol.MessageType(op % 8), ServiceName: f.l.nextID(), MethodName: "echo"}
	switch arg >> 5 {
	case 1:
		h.MethodName = "sleep 500"
	case 2:
		h.Flags = protocol.FlagNotRun
	case 3:
		h.Flags, h.StatusCode = 1<<20, protocol.Unavailable
	case 4:
		h.MetaData = map[string]string{protocol.MetaMaxMessage: "1", protocol.MetaErrorID: "x", protocol.MetaRetryAfter: "-5"}
	case 5:
		h.Timeout, h.MethodName = time.Duration(arg)*time.Millisecond, "hang"
	}
	return protocol.AppendFrame(nil, &h, []byte(strings.Repeat("y", int(arg)*int(op%3)*100)))
}

func (f *fuzzedPeer) write(b []byte) {
	_ = f.peer.SetWriteDeadline(in(10 * time.Millisecond))
	_, _ = f.peer.Write(b) // the session may have ended
}

func (f *fuzzedPeer) do(op, arg byte) {
	switch op % 16 {
	case 0, 1, 2, 3, 4, 5, 6:
		f.write(f.frame(op, arg))
	case 7: // half a frame
		frame := f.frame(0, arg)
		f.write(frame[:len(frame)*int(arg)/256])
	case 8:
		f.call(0, "echo", int(arg)*200, time.Second, protocol.TypeRequest)
	case 9: // one byte of a good frame is another
		frame := f.frame(op>>4, arg)
		frame[int(arg)%len(frame)] ^= arg | 1
		f.write(frame)
	case 10: // lengths that are not true
		f.write([]byte{0xab, 0xba, 0, arg, arg, 0, 4, 0, 0, 0, arg % 16})
	case 11:
		_ = f.peer.SetReadDeadline(in(time.Millisecond))
		_, _ = f.peer.Read(make([]byte, 100*int(arg)))
	case 12:
		time.Sleep(time.Duration(arg) * 10 * time.Millisecond)
	case 13:
		f.call(0, "echo", int(arg), 50*time.Millisecond, protocol.TypeOneway)
	case 14:
		if arg&1 != 0 {
			_ = f.peer.CloseWrite()
		} else {
			f.session[0].GoAway("as the program says")
		}
	case 15:
		for range arg {
			f.write(f.frame(arg&7, arg))
		}
	}
	if arg&1 != 0 {
		synctest.Wait()
	}
}
