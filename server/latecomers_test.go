package server_test

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sinew "github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// latecomers are clients that go on calling while a server drains, since they have no
// other.
type latecomers struct {
	t   *testing.T
	mem *transport.MemNetwork
	wg  sync.WaitGroup
	end atomic.Bool

	told atomic.Int32
	lost atomic.Int32 // MaybeRun
}

func (l *latecomers) client(redial time.Duration) sinew.RPCClient {
	c, err := sinew.NewRPCClient("mem", "server", &sinew.Option{
		Mem: l.mem, RequestTimeout: 5 * time.Second, RedialInitial: redial, RedialMax: redial,
	})
	if err != nil {
		l.t.Error(err)
	}
	return c
}

func (l *latecomers) call(c sinew.RPCClient) {
	err := c.Call(context.Background(), "Arith.Add", &AddRequest{1, 2}, &AddReply{})
	switch {
	case err == nil:
	case protocol.OutcomeOf(err) == protocol.MaybeRun:
		l.lost.Add(1)
	default:
		l.told.Add(1)
	}
}

// stay has n clients call, and dial again when they lose their connection.
func (l *latecomers) stay(n int) {
	for range n {
		l.wg.Go(func() {
			c := l.client(20 * time.Millisecond)
			for !l.end.Load() {
				l.call(c)
				time.Sleep(10 * time.Millisecond)
			}
			c.Close()
		})
	}
}

// pass has a new client come every 7 ms, for one call.
func (l *latecomers) pass() {
	l.wg.Go(func() {
		for !l.end.Load() {
			l.wg.Go(func() {
				c := l.client(0)
				l.call(c)
				c.Close()
			})
			time.Sleep(7 * time.Millisecond)
		}
	})
}

// leave ends them.
func (l *latecomers) leave() {
	l.end.Store(true)
	l.wg.Wait()
}

// leaveKnowing ends them; each of them must know what became of its calls.
func (l *latecomers) leaveKnowing() {
	l.t.Helper()
	l.leave()
	if n := l.lost.Load(); n > 0 {
		l.t.Errorf("%d calls ended and nobody knows whether they ran; %d were told", n, l.told.Load())
	}
}

// A server drains in its time where somebody comes again and again: one that calls and
// leaves, or a crowd of which somebody is always connected.
func TestDrainEndsWhereSomebodyAlwaysComesAgain(t *testing.T) {
	for name, test := range map[string]struct {
		come    func(*latecomers)
		latency time.Duration
		runs    time.Duration // what is being served takes
		leave   func(*latecomers)
	}{
		"one after the other":      {(*latecomers).pass, 0, 0, (*latecomers).leave},
		"a crowd":                  {func(l *latecomers) { l.stay(60) }, 5 * time.Millisecond, 0, (*latecomers).leaveKnowing},
		"a crowd, and a long call": {func(l *latecomers) { l.stay(60) }, 5 * time.Millisecond, 3 * time.Second, (*latecomers).leaveKnowing},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mem := on(t, server.Option{})
				slow(t, s, test.runs)
				running(t, s)
				mem.SetFaults(transport.BothWays(transport.MemPath{Latency: test.latency}))
				late := latecomers{t: t, mem: mem}
				test.come(&late)
				time.Sleep(100 * time.Millisecond)
				c := dial(t, mem, nil)
				answer := make(chan error, 1)
				go func() {
					answer <- c.caller.Call(t.Context(), c.Session, "Slow", "Do", &AddRequest{}, &AddReply{}, nil)
				}()
				time.Sleep(100 * time.Millisecond)
				begun := time.Now()
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > test.runs+300*time.Millisecond {
					t.Errorf("the drain took %v; what ran took %v", took, test.runs)
				}
				if err := <-answer; err != nil {
					t.Error(err)
				}
				test.leave(&late)
				if n := late.told.Load(); n < 10 {
					t.Errorf("%d calls were told", n)
				}
			})
		})
	}
}

// Who asks twice, as by two signals, must not cut off whom the first drain waits for.
func TestASecondShutdownWaitsForLatecomersToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		running(t, s)
		mem.SetFaults(transport.BothWays(transport.MemPath{Latency: 40 * time.Millisecond}))
		late := latecomers{t: t, mem: mem}
		late.pass()
		time.Sleep(75 * time.Millisecond)
		first := make(chan error, 1)
		go func() { first <- s.Shutdown(t.Context()) }()
		time.Sleep(210 * time.Millisecond) // listeners are closed
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		late.leaveKnowing()
	})
}

// A oneway that came late goes on after its connection has ended, and others come late
// meanwhile.
func TestDrainWaitsForALateOneway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		served := slow(t, s, 3*time.Second)
		running(t, s)
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(t.Context()) }()
		time.Sleep(5 * time.Millisecond)
		sendOneway(t, mem)
		time.Sleep(500 * time.Millisecond)
		mem.SetFaults(transport.BothWays(transport.MemPath{Latency: 40 * time.Millisecond}))
		late := latecomers{t: t, mem: mem}
		late.pass()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		late.leaveKnowing()
		if n := served.Load(); n != 1 {
			t.Errorf("%d oneways were served in peace, want 1", n)
		}
	})
}

// sendOneway calls "Slow.Do" on a connection of its own, and ends that in order.
func sendOneway(t *testing.T, mem *transport.MemNetwork) {
	t.Helper()
	conn, err := mem.Dial(t.Context(), "server")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body, err := protocol.Marshal(protocol.SerializeTypeMsgpack, nil, &AddRequest{})
	if err != nil {
		t.Fatal(err)
	}
	h := &protocol.Header{Seq: 1, MessageType: protocol.TypeOneway, ServiceName: "Slow", MethodName: "Do"}
	if _, err := conn.Write(protocol.AppendFrame(nil, h, body)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Millisecond) // until the goaway: who closes before that has left its oneway
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
}
