package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/sinew-rpc/sinew/protocol"
)

// service is a Handler whose methods are funcs.
type service struct {
	admit  func(h *protocol.Header) error
	method func(t *serviceTask)
	hello  func(s *Session, h *protocol.Header)
	pace   *Pace
}

func (v *service) Admit(_ context.Context, h *protocol.Header, _ int) (any, error) {
	if v.admit != nil {
		return nil, v.admit(h)
	}
	return nil, nil
}

func (v *service) Hello(s *Session, h *protocol.Header) {
	if v.hello != nil {
		v.hello(s, h)
	}
}

func (v *service) Accept(s *Session, h *protocol.Header, _ any, body *Buffer, deadline time.Time) Task {
	return &serviceTask{v: v, s: s, h: *h, body: body, deadline: deadline, cancelled: make(chan struct{})}
}

type serviceTask struct {
	v        *service
	s        *Session
	h        protocol.Header
	body     *Buffer
	deadline time.Time

	once      sync.Once
	cancelled chan struct{}
}

func (t *serviceTask) Oneway() bool { return t.h.MessageType == protocol.TypeOneway }
func (t *serviceTask) Pace() *Pace  { return t.v.pace }
func (t *serviceTask) Cancel(error) { t.once.Do(func() { close(t.cancelled) }) }
func (t *serviceTask) Run() {
	if t.v.method != nil {
		t.v.method(t)
	}
	if t.Oneway() {
		t.body.Release()
		t.s.Finish(t.h.Seq)
		return
	}
	_ = t.s.Reply(&protocol.Header{Seq: t.h.Seq}, t.body)
}

// ends are the two sessions of one connection, and what they share.
type ends struct {
	client, server       *Session
	clientCfg, serverCfg *SessionConfig
	network              *MemNetwork
}

// connect makes a session pair over the in-memory network; both sides serve v.
func connect(t *testing.T, v *service, change func(client, server *SessionConfig)) *ends {
	t.Helper()
	e := &ends{network: NewMemNetwork(), clientCfg: newConfig(v), serverCfg: newConfig(v)}
	if change != nil {
		change(e.clientCfg, e.serverCfg)
	}
	ln, err := e.network.Listen("server")
	if err != nil {
		t.Fatal(err)
	}
	dialled, err := e.network.Dial(t.Context(), "server")
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	e.client, e.server = start(t, dialled, e.clientCfg), start(t, accepted, e.serverCfg)
	t.Cleanup(func() {
		_ = e.client.Close()
		_ = e.server.Close()
		e.clientCfg.Workers.Close()
		e.serverCfg.Workers.Close()
	})
	return e
}

func newConfig(v *service) *SessionConfig {
	cfg := &SessionConfig{Workers: new(Workers), Room: NewRoom(1000, 1<<20), Stats: new(Stats)}
	if v != nil {
		cfg.Handler = v
	}
	return cfg
}

func start(t *testing.T, conn net.Conn, cfg *SessionConfig) *Session {
	t.Helper()
	s, err := NewSession(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func in(d time.Duration) time.Time { return time.Now().Add(d) }

func text(s string) *Buffer {
	b := NewBuffer(len(s))
	b.B = append(b.B, s...)
	return b
}

func ask(s *Session, method, body string, timeout time.Duration) (string, error) {
	var deadline time.Time
	if timeout > 0 {
		deadline = in(timeout)
	}
	reply, err := s.RoundTrip(context.Background(), deadline, &protocol.Header{ServiceName: "S", MethodName: method}, text(body))
	if err != nil {
		return "", err
	}
	defer reply.Release()
	return string(reply.Body), protocol.FromResponse(&reply.Header)
}

func wantError(t *testing.T, err error, code protocol.Code, o protocol.Outcome) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) || e.Code != code || protocol.OutcomeOf(err) != o {
		t.Errorf("error %v, outcome %v; want %v, %v", err, protocol.OutcomeOf(err), code, o)
	}
}

// bubble runs f under the fake clock.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestBothSidesCallAndServe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{}, nil)
		for name, s := range map[string]*Session{"client": e.client, "server": e.server} {
			for _, size := range []int{0, 10, largeBody, 300_000} {
				want := strings.Repeat("x", size)
				if got, err := ask(s, "Echo", want, time.Second); err != nil || got != want {
					t.Errorf("%s calls with %d bytes: %d bytes back, error %v", name, size, len(got), err)
				}
			}
		}
	})
}

func TestServerCallsBackWhileItServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{method: func(task *serviceTask) {
			if task.h.MethodName == "Outer" {
				if got, err := ask(task.s, "Inner", "hello", time.Second); err != nil || got != "hello" {
					t.Errorf("call back: %q, %v", got, err)
				}
			}
		}}, nil)
		if _, err := ask(e.client, "Outer", "", time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestCallEndsExactlyAtItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{method: func(task *serviceTask) { <-task.cancelled }}, nil)
		begun := time.Now()
		_, err := ask(e.client, "Hang", "", 1234*time.Millisecond)
		if took := time.Since(begun); took != 1234*time.Millisecond {
			t.Errorf("returned after %v", took)
		}
		wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun)
		synctest.Wait() // the cancel frame reaches the handler
		if _, tasks := e.server.Load(); tasks != 0 {
			t.Errorf("%d handlers still run after their caller left", tasks)
		}
	})
}

// sooner has another deadline than the context in it, and does not end then.
type sooner struct {
	context.Context
	deadline time.Time
}

func (s sooner) Deadline() (time.Time, bool) { return s.deadline, true }

func TestCallEndsExactlyAtTheDeadlineOfItsContext(t *testing.T) {
	const limit = 1234 * time.Millisecond
	type key struct{}
	for name, derive := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"WithTimeout": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, limit)
		},
		"WithTimeout of a context that ends before": func(ctx context.Context) (context.Context, context.CancelFunc) {
			first, cancel := context.WithTimeout(ctx, limit)
			ctx, cancelSecond := context.WithTimeout(first, time.Hour)
			return ctx, func() { cancelSecond(); cancel() }
		},
		"WithValue in it": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeout(ctx, limit)
			return context.WithValue(ctx, key{}, 1), cancel
		},
		"a type of its own": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			return sooner{ctx, time.Now().Add(limit)}, cancel
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := connect(t, &service{method: func(task *serviceTask) { <-task.cancelled }}, nil)
				ctx, cancel := derive(t.Context())
				defer cancel()
				deadline, _ := ctx.Deadline()
				begun := time.Now()
				_, err := e.client.RoundTrip(ctx, deadline, &protocol.Header{MethodName: "Hang"}, nil)
				if took := time.Since(begun); took != limit {
					t.Errorf("returned after %v", took)
				}
				wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun)
			})
		})
	}
}

func TestCallEndsBeforeTheDeadlineOfItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{method: func(task *serviceTask) { <-task.cancelled }}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		_, err := e.client.RoundTrip(ctx, begun.Add(time.Second), &protocol.Header{MethodName: "Hang"}, nil)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("returned after %v", took)
		}
		wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun)
	})
}

func TestCancelReachesTheHandlerAndTheConnectionLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{method: func(task *serviceTask) {
			if task.h.MethodName == "Hang" {
				<-task.cancelled
			}
		}}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begun := time.Now()
		_, err := e.client.RoundTrip(ctx, time.Time{}, &protocol.Header{MethodName: "Hang"}, nil)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("returned after %v", took)
		}
		wantError(t, err, protocol.Canceled, protocol.MaybeRun)
		if _, err := ask(e.client, "Echo", "still here", time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestDeadlineTravelsAsTimeLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		left := make(chan time.Duration, 1)
		e := connect(t, &service{method: func(task *serviceTask) { left <- time.Until(task.deadline) }}, nil)
		if _, err := ask(e.client, "M", "", 3*time.Second); err != nil {
			t.Fatal(err)
		}
		if got := <-left; got != 3*time.Second {
			t.Errorf("the handler has %v left", got)
		}
	})
}

func TestLostConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cancelled := make(chan struct{})
		e := connect(t, &service{method: func(task *serviceTask) { <-task.cancelled; close(cancelled) }}, nil)
		time.AfterFunc(time.Second, func() { e.network.CutAll() })
		begun := time.Now()
		_, err := ask(e.client, "Hang", "", time.Minute)
		wantError(t, err, protocol.Unavailable, protocol.MaybeRun)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v does not wrap the cause", err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("returned after %v", took)
		}
		<-cancelled // a lost connection reaches the handler
		_, err = ask(e.client, "Echo", "", time.Second)
		wantError(t, err, protocol.Unavailable, protocol.NotSent)
	})
}

func TestCloseFailsWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{method: func(task *serviceTask) { <-task.cancelled }}, nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				_, err := ask(e.client, "Hang", "", 0)
				wantError(t, err, protocol.Unavailable, protocol.MaybeRun)
			})
		}
		synctest.Wait()
		_ = e.client.Close()
		wg.Wait()
		_ = e.client.Close() // again is nothing
	})
}

// A peer that takes nothing: what was not written is known to be NotSent, the
// caller leaves at its deadline, and the session ends after WriteTimeout.
func TestPeerThatNeverReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := NewMemNetwork()
		ln, _ := n.Listen("wall")
		conn, err := n.Dial(t.Context(), "wall")
		if err != nil {
			t.Fatal(err)
		}
		wall, _ := ln.Accept()
		defer wall.Close()
		defer ln.Close()
		cfg := newConfig(nil)
		s := start(t, conn, cfg)
		begun := time.Now()
		outcomes := make(chan protocol.Outcome, 40)
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				_, err := ask(s, "M", strings.Repeat("x", 60_000), time.Second)
				if protocol.CodeOf(err) != protocol.DeadlineExceeded || time.Since(begun) != time.Second {
					t.Errorf("after %v: %v", time.Since(begun), err)
				}
				outcomes <- protocol.OutcomeOf(err)
			})
		}
		wg.Wait()
		count := map[protocol.Outcome]int{}
		for range 40 {
			count[<-outcomes]++
		}
		if count[protocol.MaybeRun] > 3 || count[protocol.NotSent] < 37 {
			t.Errorf("outcomes %v; only what went into the socket may have run", count)
		}
		<-s.Done()
		if took := time.Since(begun); took != DefaultWriteTimeout {
			t.Errorf("the session ended after %v", took)
		}
		_ = s.Close()
		cfg.Workers.Close()
	})
}

func TestNotifyReturnsWhenWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ran atomic.Int32
		e := connect(t, &service{method: func(*serviceTask) { ran.Add(1) }}, nil)
		for _, size := range []int{1, 100_000} {
			if err := e.client.Notify(t.Context(), in(time.Second), &protocol.Header{MessageType: protocol.TypeOneway}, text(strings.Repeat("x", size))); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if ran.Load() != 2 {
			t.Errorf("%d of 2 ran", ran.Load())
		}
	})
}

func TestPing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, nil, func(client, server *SessionConfig) {
			server.Handler = nil // heartbeats need none
		})
		for _, s := range []*Session{e.client, e.server} {
			if err := s.Ping(t.Context(), in(time.Second)); err != nil {
				t.Error(err)
			}
		}
	})
}

// Heartbeats are no calls, however they end.
func TestLoadCountsNoHeartbeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{method: func(task *serviceTask) { <-task.cancelled }}, nil)
		wantCalls := func(when string, want int) {
			t.Helper()
			if calls, _ := e.client.Load(); calls != want {
				t.Errorf("%s: %d calls, want %d", when, calls, want)
			}
		}
		if err := e.client.Ping(t.Context(), in(time.Second)); err != nil {
			t.Error(err)
		}
		wantCalls("one was answered", 0)
		go ask(e.client, "Hang", "", time.Minute)
		synctest.Wait()
		wantCalls("and a call hangs", 1)
		e.network.SetFaultsAt("server", MemFaults{ToListener: MemPath{Stall: true}})
		done := make(chan error, 1)
		go func() { done <- e.client.Ping(t.Context(), in(time.Second)) }()
		synctest.Wait()
		wantCalls("another is under way", 1)
		wantError(t, <-done, protocol.DeadlineExceeded, protocol.MaybeRun)
		wantCalls("it has ended", 1)
		go func() { done <- e.client.Ping(t.Context(), in(time.Second)) }()
		synctest.Wait()
		e.client.Fail(errDrained)
		wantError(t, <-done, protocol.Unavailable, protocol.MaybeRun)
		wantCalls("the session has ended", 0)
	})
}

func TestRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{admit: func(h *protocol.Header) error {
			switch h.MethodName {
			case "No":
				return protocol.NewError(protocol.Unauthenticated, "who are you?")
			case "Panic":
				panic("admission")
			}
			return nil
		}}, func(_, server *SessionConfig) { server.MaxMessageSize = 10_000 })
		_, err := ask(e.client, "No", "", time.Second)
		wantError(t, err, protocol.Unauthenticated, protocol.Refused)
		_, err = ask(e.client, "Panic", "", time.Second)
		wantError(t, err, protocol.Internal, protocol.Refused)
		_, err = ask(e.client, "M", strings.Repeat("x", 20_000), time.Second)
		wantError(t, err, protocol.ResourceExhausted, protocol.Refused)
		if got, err := ask(e.client, "Echo", "lives", time.Second); err != nil || got != "lives" {
			t.Error(got, err)
		}
		_, err = ask(e.client, "M", strings.Repeat("x", 50_000), time.Second)
		wantError(t, err, protocol.ResourceExhausted, protocol.Refused)
		<-e.client.Done() // more than four times too large ends the session
	})
}

func TestReplyBeyondEitherLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		grow := &service{method: func(task *serviceTask) { task.body = text(strings.Repeat("x", 20_000)) }}
		e := connect(t, grow, func(client, _ *SessionConfig) { client.MaxMessageSize = 10_000 })
		_, err := ask(e.client, "M", "", time.Second)
		wantError(t, err, protocol.ResourceExhausted, protocol.Ran)

		e = connect(t, grow, func(client, _ *SessionConfig) {
			client.MaxMessageSize = 10_000
			client.Hello = map[string]string{protocol.MetaMaxMessage: "10000"}
		})
		_, err = ask(e.client, "M", "", time.Second)
		wantError(t, err, protocol.ResourceExhausted, protocol.Ran)
		if !strings.Contains(err.Error(), "more than the 10000 that the caller takes") {
			t.Error(err)
		}
	})
}

func TestGoAwayDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		e := connect(t, &service{method: func(task *serviceTask) {
			if task.h.MethodName == "Slow" {
				<-release
			}
		}}, nil)
		slow := make(chan error, 1)
		go func() { _, err := ask(e.client, "Slow", "", time.Minute); slow <- err }()
		synctest.Wait()
		e.server.GoAway("deploy")
		synctest.Wait()
		_, err := ask(e.client, "Echo", "", time.Second)
		wantError(t, err, protocol.Unavailable, protocol.NotSent)
		if !protocol.IsDraining(err) {
			t.Errorf("%v does not say that the peer drains", err)
		}
		_, err = ask(e.server, "Echo", "", time.Second)
		wantError(t, err, protocol.Unavailable, protocol.NotSent) // who left calls no more ...
		forHandler := context.WithoutCancel(e.server)             // as one derived from a handler's
		if _, err := e.server.RoundTrip(forHandler, in(time.Second), &protocol.Header{MethodName: "Echo"}, nil); err != nil {
			t.Errorf("... but for its handlers it may: %v", err)
		}
		if e.client.Err() != nil {
			t.Fatal("ended with a call in flight")
		}
		close(release)
		if err := <-slow; err != nil {
			t.Errorf("the call in flight: %v", err)
		}
		<-e.client.Done()
		<-e.server.Done()
		for _, s := range []*Session{e.client, e.server} {
			if !errors.Is(s.Cause(), errDrained) {
				t.Errorf("ended by %v", s.Cause())
			}
		}
	})
}

// A request that crosses the goaway on the wire is refused, never lost; a
// oneway is served.
func TestRequestThatCrossesGoAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ran atomic.Int32
		e := connect(t, &service{method: func(*serviceTask) { ran.Add(1) }}, nil)
		e.network.SetFaults(BothWays(MemPath{Latency: 100 * time.Millisecond}))
		time.AfterFunc(50*time.Millisecond, func() { e.server.GoAway("deploy") })
		oneway := make(chan error, 1)
		go func() {
			oneway <- e.client.Notify(t.Context(), in(time.Second), &protocol.Header{MessageType: protocol.TypeOneway}, nil)
		}()
		_, err := ask(e.client, "M", "", time.Second)
		wantError(t, err, protocol.Unavailable, protocol.Refused)
		if !protocol.IsDraining(err) {
			t.Error(err)
		}
		if err := <-oneway; err != nil {
			t.Error(err)
		}
		<-e.server.Done()
		if ran.Load() != 1 {
			t.Errorf("%d ran; the oneway alone should", ran.Load())
		}
	})
}

func TestBlockedHandlerDelaysNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{method: func(task *serviceTask) {
			if task.h.MethodName == "Hang" {
				<-task.cancelled
			}
		}}, nil)
		for range 100 {
			go ask(e.client, "Hang", "", time.Second)
		}
		synctest.Wait()
		begun := time.Now()
		if _, err := ask(e.client, "Echo", "", time.Second); err != nil || time.Since(begun) != 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
	})
}

func TestFullRoomPausesThenRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{method: func(task *serviceTask) { <-task.cancelled }}, func(_, server *SessionConfig) {
			server.Room = NewRoom(2, 1<<20)
		})
		for range 2 {
			go ask(e.client, "Hang", "", 10*time.Second)
		}
		synctest.Wait()
		begun := time.Now()
		_, err := ask(e.client, "M", "", time.Second)
		wantError(t, err, protocol.ResourceExhausted, protocol.Refused)
		if took := time.Since(begun); took != DefaultReadPause {
			t.Errorf("refused after %v, want a pause of %v", took, DefaultReadPause)
		}
		begun = time.Now()
		_, err = ask(e.client, "M", "", time.Second)
		wantError(t, err, protocol.ResourceExhausted, protocol.Refused)
		if took := time.Since(begun); took != 0 {
			t.Errorf("refused after %v; after a refusal it refuses at once", took)
		}
		time.Sleep(11 * time.Second)
		if e.serverCfg.Room.InFlight() != 0 || e.serverCfg.Room.Bytes() != 0 {
			t.Errorf("room was not given back: %d, %d bytes", e.serverCfg.Room.InFlight(), e.serverCfg.Room.Bytes())
		}
	})
}

// raw is a peer that is no Session.
type raw struct {
	net.Conn
	t *testing.T
}

func rawPeer(t *testing.T, cfg *SessionConfig) (*raw, *Session) {
	t.Helper()
	n := NewMemNetwork()
	ln, err := n.Listen("s")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := n.Dial(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	s := start(t, accepted, cfg)
	t.Cleanup(func() { _ = s.Close(); _ = conn.Close(); cfg.Workers.Close() })
	return &raw{conn, t}, s
}

func (r *raw) send(h protocol.Header, body string) {
	r.t.Helper()
	if _, err := r.Write(protocol.AppendFrame(nil, &h, []byte(body))); err != nil {
		r.t.Error(err)
	}
}

func (r *raw) receive() (protocol.Message, error) {
	prefix := make([]byte, protocol.PrefixLen)
	if _, err := io.ReadFull(r, prefix); err != nil {
		return protocol.Message{}, err
	}
	p, _, err := protocol.ParsePrefix(prefix)
	if err != nil {
		return protocol.Message{}, err
	}
	rest := make([]byte, p.HeaderLen+p.BodyLen)
	if _, err := io.ReadFull(r, rest); err != nil {
		return protocol.Message{}, err
	}
	var m protocol.Message
	err = protocol.ParseHeader(rest[:p.HeaderLen], &m.Header, nil)
	m.Body = rest[p.HeaderLen:]
	return m, err
}

func TestStalledFrames(t *testing.T) {
	whole := protocol.AppendFrame(nil, &protocol.Header{Seq: 1}, make([]byte, 1<<20))
	for name, c := range map[string]struct {
		send []byte
		gap  time.Duration // one more byte each gap
		want time.Duration
	}{
		"half a prefix":               {whole[:5], 0, DefaultFrameTimeout},
		"half a header":               {whole[:15], 0, DefaultFrameTimeout},
		"a byte every nine seconds":   {whole[:1], 9 * time.Second, DefaultFrameTimeout},
		"half a body":                 {whole[:1000], 0, DefaultFrameTimeout},
		"a body of a byte per second": {whole[:1000], time.Second, DefaultFrameTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, s := rawPeer(t, newConfig(&service{}))
				begun := time.Now()
				if _, err := r.Write(c.send); err != nil {
					t.Fatal(err)
				}
				for at := len(c.send); c.gap > 0 && s.Err() == nil; at++ {
					time.Sleep(c.gap)
					_, _ = r.Write(whole[at : at+1])
				}
				<-s.Done()
				if took := time.Since(begun); took != c.want && (c.gap == 0 || took > c.want+c.gap) {
					t.Errorf("ended after %v", took)
				}
				if !errors.Is(s.Cause(), ErrStalled) {
					t.Error(s.Cause())
				}
			})
		})
	}
}

func TestIdleIsNoStall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{}, nil)
		for range 3 {
			time.Sleep(time.Hour)
			if got, err := ask(e.client, "Echo", "awake", time.Second); err != nil || got != "awake" {
				t.Fatal(got, err)
			}
		}
	})
}

func TestSlowBodyThatKeepsItsRateIsRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := newConfig(&service{})
		cfg.Room = NewRoom(0, 16<<20)
		r, _ := rawPeer(t, cfg)
		whole := protocol.AppendFrame(nil, &protocol.Header{Seq: 7}, make([]byte, 1<<20))
		go func() {
			for len(whole) > 0 {
				n := min(len(whole), 20<<10)
				time.Sleep(time.Second)
				_, _ = r.Write(whole[:n])
				whole = whole[n:]
			}
		}()
		m, err := r.receive()
		if err != nil || m.Seq != 7 || len(m.Body) != 1<<20 {
			t.Errorf("%+v, %v", m.Header, err)
		}
	})
}

func TestFaultsOfThePeer(t *testing.T) {
	frame := func(h protocol.Header) []byte { return protocol.AppendFrame(nil, &h, nil) }
	hello := frame(protocol.Header{MessageType: protocol.TypeHello})
	much := frame(protocol.Header{MessageType: protocol.TypeHello, MetaData: map[string]string{"k": strings.Repeat("v", protocol.MaxMetaSize)}})
	request := frame(protocol.Header{Seq: 5})
	version := frame(protocol.Header{})
	version[2] = 9
	for name, c := range map[string]struct {
		send   []byte
		want   error
		goaway bool
	}{
		"garbage":                   {[]byte("GET / HTTP/1.1\r\n\r\n"), protocol.ErrBadMagic, false},
		"another version":           {version, protocol.ErrVersion, true},
		"header length beyond":      {[]byte{0xAB, 0xBA, 0, 0, 0, 0, 10, 0, 0, 0, 200}, protocol.ErrMalformed, true},
		"a header that is no array": {[]byte{0xAB, 0xBA, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0x01}, protocol.ErrMalformed, true},
		"hello twice":               {append(hello, hello...), protocol.ErrMalformed, true},
		"a hello that says much":    {much, protocol.ErrMalformed, true},
		"hello after a request":     {append(append([]byte(nil), request...), hello...), protocol.ErrMalformed, true},
		"a sequence number twice":   {append(append([]byte(nil), request...), request...), protocol.ErrMalformed, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, s := rawPeer(t, newConfig(&service{method: func(task *serviceTask) { <-task.cancelled }}))
				if _, err := r.Write(c.send); err != nil {
					t.Fatal(err)
				}
				told := false
				for {
					m, err := r.receive()
					if err != nil {
						break
					}
					told = told || m.MessageType == protocol.TypeGoAway && m.Error != ""
				}
				_ = r.Close()
				<-s.Done()
				if !errors.Is(s.Cause(), c.want) || told != c.goaway {
					t.Errorf("ended by %v, goaway %v; want %v, %v", s.Cause(), told, c.want, c.goaway)
				}
			})
		})
	}
}

// A wall clock that is set must not change how long nothing was heard: heartbeats would
// come late, or be missed.
func TestLastHeardIsByTheMonotonicClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, s := rawPeer(t, newConfig(&service{}))
		time.Sleep(time.Hour)
		r.send(protocol.Header{Seq: 3}, "real")
		if _, err := r.receive(); err != nil {
			t.Fatal(err)
		}
		heard := s.LastHeard()
		if now := time.Now(); !heard.Equal(now) || !strings.Contains(heard.String(), " m=") {
			t.Errorf("heard at %v, now it is %v", heard, now)
		}
	})
}

func TestWhatNobodyWaitsForIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := newConfig(&service{})
		r, s := rawPeer(t, cfg)
		r.send(protocol.Header{Seq: 99, MessageType: protocol.TypeResponse}, "stray")
		r.send(protocol.Header{Seq: 99, MessageType: protocol.TypeCancel}, "")
		r.send(protocol.Header{Seq: 99, MessageType: 12}, "streams come later")
		r.send(protocol.Header{Seq: 3}, "real")
		m, err := r.receive()
		if err != nil || m.Seq != 3 || string(m.Body) != "real" {
			t.Errorf("%+v, %v", m, err)
		}
		if s.Err() != nil || cfg.Stats.StrayResponses.Load() != 1 || cfg.Stats.StrayCancels.Load() != 1 || cfg.Stats.UnknownType.Load() != 1 {
			t.Errorf("session %v, counts %d %d %d", s.Cause(), cfg.Stats.StrayResponses.Load(), cfg.Stats.StrayCancels.Load(), cfg.Stats.UnknownType.Load())
		}
	})
}

func TestCriticalFlagIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := rawPeer(t, newConfig(&service{}))
		r.send(protocol.Header{Seq: 1, Flags: 1 << 20}, "")
		m, err := r.receive()
		if err != nil || m.StatusCode != protocol.Unimplemented || m.Flags&protocol.FlagNotRun == 0 {
			t.Errorf("%+v, %v", m.Header, err)
		}
	})
}

func TestConnectedToItself(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4242}
	c, other := net.Pipe()
	defer other.Close()
	if _, err := NewSession(selfConn{c, addr}, newConfig(nil)); err == nil {
		t.Error("accepted a connection to itself")
	}
}

type selfConn struct {
	net.Conn
	addr net.Addr
}

func (c selfConn) LocalAddr() net.Addr  { return c.addr }
func (c selfConn) RemoteAddr() net.Addr { return c.addr }

// Many callers, all sizes, both directions, over every kind of connection.
func TestManyCallers(t *testing.T) {
	for name, pipe := range map[string]func(t *testing.T) (net.Conn, net.Conn){
		"tcp": tcpEnds, "mem": memEnds, "pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
		"ws": func(t *testing.T) (net.Conn, net.Conn) { return webSocketEnds(t, "ws") },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pipe(t)
			cfg := newConfig(&service{})
			cfg.Room = NewRoom(0, 0)
			one, two := start(t, a, cfg), start(t, b, cfg)
			var wg sync.WaitGroup
			for i := range 50 {
				for _, s := range []*Session{one, two} {
					wg.Go(func() {
						for j := range 20 {
							want := fmt.Sprint(i, "/", j) + strings.Repeat("z", []int{0, 100, 5000, 40_000}[(i+j)%4])
							if got, err := ask(s, "Echo", want, 0); err != nil || got != want {
								t.Errorf("%d bytes for %d: %v", len(got), len(want), err)
								return
							}
						}
					})
				}
			}
			wg.Wait()
			_, _ = one.Close(), two.Close()
			cfg.Workers.Close()
		})
	}
}

func tcpEnds(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func memEnds(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	n := NewMemNetwork()
	ln, _ := n.Listen("p")
	defer ln.Close()
	a, err := n.Dial(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// A socket that is full holds one large frame that was begun; those behind it
// have not been sent, whatever one write tried to take with it.
func TestFullSocketHoldsOneLargeFrame(t *testing.T) {
	ours, theirs := tcpEnds(t)
	defer theirs.Close()
	if err := errors.Join(ours.(*net.TCPConn).SetWriteBuffer(4<<10), theirs.(*net.TCPConn).SetReadBuffer(4<<10)); err != nil {
		t.Fatal(err)
	}
	s := start(t, ours, newConfig(nil))
	defer s.Close()
	const size, callers = 128 << 10, 12
	outcomes := make(chan protocol.Outcome, callers)
	for range callers {
		go func() {
			_, err := ask(s, "M", strings.Repeat("x", size), 200*time.Millisecond)
			outcomes <- protocol.OutcomeOf(err)
		}()
	}
	mayHaveRun := 0
	for range callers {
		if <-outcomes == protocol.MaybeRun {
			mayHaveRun++
		}
	}
	_ = theirs.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	got, _ := io.Copy(io.Discard, theirs) // ends with the deadline
	if whole := int(got) / size; mayHaveRun > whole+1 {
		t.Errorf("%d calls may have run; %d bytes were sent, less than %d frames", mayHaveRun, got, whole+1)
	}
}

// A socket that is full at the moment of every try is waited for, not tried for
// ever.
func TestFullSocketIsWaitedFor(t *testing.T) {
	ours, theirs := tcpEnds(t)
	defer theirs.Close()
	s := start(t, ours, newConfig(nil))
	defer s.Close()
	if s.sock.try == nil {
		t.Skip("no write here that does not wait")
	}
	var tries atomic.Int64
	s.sock.try = func([][]byte) (int, error) {
		tries.Add(1)
		return 0, nil
	}
	go func() { _, _ = io.Copy(io.Discard, theirs) }() // ends with the connection
	const callers = 12
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			h := &protocol.Header{MessageType: protocol.TypeOneway, ServiceName: "S", MethodName: "M"}
			if err := s.Notify(t.Context(), in(5*time.Second), h, text(strings.Repeat("x", 128<<10))); err != nil {
				t.Errorf("a oneway to a peer that reads: %v", err)
			}
		})
	}
	wg.Wait()
	if n := tries.Load(); n > 4*callers {
		t.Errorf("%d writes were tried for %d frames", n, callers)
	}
}

// A Session is most of the heap that an idle connection holds. The allocator gives
// it 1,024 bytes, 8 of them its own; one more, and it is 1,152.
func TestSessionFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Session{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 1016 {
		t.Errorf("a Session has %d bytes, at most 1016 fit", size)
	}
}
