package transport

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// A session that is leaving from the start says hello and then goaway, each
// once.
func TestLeavingIsSaidOnceAfterHello(t *testing.T) {
	a, b := pairOf(t, "mem", "")
	var workers Workers
	s, err := NewSession(a, &SessionConfig{Workers: &workers, Hello: map[string]string{protocol.MetaAgent: "x"}, Leaving: "full"})
	if err != nil {
		t.Fatal(err)
	}
	defer workers.Close()
	defer s.Close()
	if s.Usable() {
		t.Error("calls may be opened")
	}
	if err := b.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(b) // until the deadline
	var types []protocol.MessageType
	for len(got) > 0 {
		p, ok, err := protocol.ParsePrefix(got)
		if err != nil || !ok {
			t.Fatalf("%v, %v", ok, err)
		}
		var h protocol.Header
		if err := protocol.ParseHeader(got[protocol.PrefixLen:protocol.PrefixLen+p.HeaderLen], &h, nil); err != nil {
			t.Fatal(err)
		}
		types = append(types, h.MessageType)
		got = got[protocol.PrefixLen+p.HeaderLen+p.BodyLen:]
	}
	if len(types) != 2 || types[0] != protocol.TypeHello || types[1] != protocol.TypeGoAway {
		t.Errorf("it said %v", types)
	}
}

// What the peer is told of a goaway is whether the other side serves on.
func TestRenewIsAGoAwayThatSaysToComeAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		leave  func(s *Session)
		renews bool
	}{
		{"goaway", func(s *Session) { s.GoAway("bye") }, false},
		{"renew", func(s *Session) { s.Renew("bye") }, true},
		{"goaway, then renew", func(s *Session) { s.GoAway("bye"); s.Renew("not said") }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := pairOf(t, "mem", "")
			var workers Workers
			defer workers.Close()
			reasons := make(chan string, 2)
			told, err := NewSession(b, &SessionConfig{Workers: &workers, OnGoAway: func(_ *Session, reason string) { reasons <- reason }})
			if err != nil {
				t.Fatal(err)
			}
			defer told.Close()
			tells, err := NewSession(a, &SessionConfig{Workers: &workers})
			if err != nil {
				t.Fatal(err)
			}
			defer tells.Close()
			test.leave(tells)
			if reason := <-reasons; reason != "bye" {
				t.Errorf("the reason is %q", reason)
			}
			if left, _ := told.PeerLeft(); !left || told.PeerRenews() != test.renews || tells.Usable() {
				t.Errorf("left %v, renews %v", left, told.PeerRenews())
			}
		})
	}
}

// A goaway that is said when a caller has looked for it already, and not yet queued
// its request: that must not go out behind it, since the peer may close at once.
func TestNoCallGoesOutBehindAGoAway(t *testing.T) {
	e := connect(t, &service{}, nil)
	s := e.client
	s.mu.Lock()
	before := s.seq.Load()
	call := make(chan error, 1)
	go func() {
		_, err := ask(s, "M", "", time.Minute)
		call <- err
	}()
	for s.seq.Load() == before { // it has a number, and waits for the lock
		runtime.Gosched()
	}
	s.goneAway.Store(true)
	s.out.appendGoAway("bye", nil)
	s.unlockAndFlush(false)
	wantError(t, <-call, protocol.Unavailable, protocol.NotSent)
}

func TestNoCallThatWaitedForRoomGoesOutBehindAGoAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := newConfig(nil)
		cfg.MaxQueued = 64 << 10
		peer, s := rawPeer(t, cfg)
		first, behind := make(chan error, 1), make(chan error, 1)
		go func() {
			h := &protocol.Header{MessageType: protocol.TypeOneway, ServiceName: "S", MethodName: "M"}
			first <- s.Notify(t.Context(), time.Time{}, h, text(strings.Repeat("x", 256<<10)))
		}()
		synctest.Wait() // the peer reads nothing: it is half written
		go func() {
			_, err := ask(s, "M", strings.Repeat("y", 32<<10), time.Minute)
			behind <- err
		}()
		synctest.Wait()
		s.GoAway("bye")
		for _, want := range []protocol.MessageType{protocol.TypeOneway, protocol.TypeGoAway} {
			if m, err := peer.receive(); err != nil || m.MessageType != want {
				t.Errorf("the peer got %v, %v, want %v", m.MessageType, err, want)
			}
		}
		if err := <-first; err != nil {
			t.Errorf("the oneway: %v", err)
		}
		wantError(t, <-behind, protocol.Unavailable, protocol.NotSent)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.out.queued != 0 || s.out.granted != 0 {
			t.Errorf("%d bytes are still queued, and %d promised", s.out.queued, s.out.granted)
		}
	})
}

// The last frame that a leaving peer was to get is taken back, behind one that is
// being written: the side that has nothing left to say closes its direction then too.
func TestHalfCloseBehindAFrameThatIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		peer, s := rawPeer(t, newConfig(nil))
		oneway := make(chan error, 1)
		go func() {
			h := &protocol.Header{MessageType: protocol.TypeOneway, ServiceName: "S", MethodName: "M"}
			oneway <- s.Notify(t.Context(), time.Time{}, h, text(strings.Repeat("x", 256<<10)))
		}()
		synctest.Wait() // the peer reads nothing: it is half written
		call := make(chan error, 1)
		go func() {
			_, err := ask(s, "M", "behind it", 10*time.Millisecond)
			call <- err
		}()
		synctest.Wait()
		peer.send(protocol.Header{MessageType: protocol.TypeGoAway}, "")
		wantError(t, <-call, protocol.DeadlineExceeded, protocol.NotSent)
		if m, err := peer.receive(); err != nil || m.MessageType != protocol.TypeOneway {
			t.Errorf("the peer got %v, %v", m.MessageType, err)
		}
		if err := <-oneway; err != nil {
			t.Errorf("the oneway: %v", err)
		}
		_ = peer.SetReadDeadline(in(time.Second))
		if _, err := peer.receive(); !errors.Is(err, io.EOF) {
			t.Errorf("after the last frame comes %v, want the end", err)
		}
	})
}

// A reply larger than all that may be queued is not kept waiting by smaller ones for
// as long as there are some.
func TestLargeReplyAmongMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const large = 300 << 10
		reply := map[string]string{"small": strings.Repeat("s", 8<<10), "large": strings.Repeat("l", large)}
		v := &service{method: func(task *serviceTask) {
			task.body.Release()
			task.body = text(reply[task.h.MethodName])
		}}
		e := connect(t, v, func(_, server *SessionConfig) { server.MaxQueued = 64 << 10 })
		e.network.SetFaults(MemFaults{ToDialer: MemPath{Bandwidth: 1 << 20, Buffer: 16 << 10}})
		var callers sync.WaitGroup
		stop := make(chan struct{})
		for range 32 {
			callers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if got, err := ask(e.client, "small", "", 0); err != nil || got != reply["small"] {
						t.Errorf("a small reply of %d bytes: %v", len(got), err)
						return
					}
				}
			})
		}
		time.Sleep(time.Second)
		began := time.Now()
		if got, err := ask(e.client, "large", "", 0); err != nil || len(got) != large {
			t.Errorf("the large reply of %d bytes: %v", len(got), err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		close(stop)
		callers.Wait()
	})
}

// A reply does not wait behind calls of its own side that wait for room, whether
// there is room for it or not.
func TestReplyOvertakesCallsThatWait(t *testing.T) {
	for _, size := range []int{1, 600 << 10} {
		bubble(t, func(t *testing.T) {
			e := connect(t, &service{}, func(client, server *SessionConfig) {
				client.Room, server.Room = NewRoom(1000, 64<<20), NewRoom(1000, 64<<20)
			})
			e.network.SetFaults(MemFaults{ToDialer: MemPath{Bandwidth: 1 << 20, Buffer: 16 << 10}})
			var calls sync.WaitGroup
			for range 20 {
				calls.Go(func() {
					if _, err := ask(e.server, "large", strings.Repeat("x", 600<<10), 0); err != nil {
						t.Errorf("a large call: %v", err)
					}
				})
			}
			synctest.Wait()
			began := time.Now()
			if got, err := ask(e.client, "M", strings.Repeat("a", size), 0); err != nil || len(got) != size {
				t.Errorf("%d of %d bytes, %v", len(got), size, err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("a reply of %d bytes took %v", size, took)
			}
			calls.Wait()
		})
	}
}

// A call that needs the whole queue has its turn though replies never end, and replies
// theirs, though it takes longer than WriteTimeout to be written.
func TestLargeCallAmongReplies(t *testing.T) {
	for size, timeout := range map[int]time.Duration{
		DefaultMaxQueued + 1: 10 * time.Second,
		12 << 20:             30 * time.Second,
	} {
		bubble(t, func(t *testing.T) { callAmongReplies(t, size, timeout) })
	}
}

// callAmongReplies makes a call of size bytes from a side whose replies never end, over
// a line of 1 MiB/s.
func callAmongReplies(t *testing.T, size int, timeout time.Duration) {
	e := connect(t, &service{}, func(client, server *SessionConfig) {
		client.Room, server.Room = NewRoom(1000, 64<<20), NewRoom(1000, 64<<20)
	})
	e.network.SetFaults(MemFaults{ToDialer: MemPath{Bandwidth: 1 << 20, Buffer: 16 << 10}})
	var callers sync.WaitGroup
	var done atomic.Bool
	for range 10 {
		callers.Go(func() {
			for !done.Load() {
				if _, err := ask(e.client, "M", strings.Repeat("x", 50<<10), 0); err != nil {
					t.Errorf("a caller whose replies never end: %v", err)
					return
				}
			}
		})
	}
	time.Sleep(time.Second)
	if got, err := ask(e.server, "large", strings.Repeat("x", size), timeout); err != nil || len(got) != size {
		t.Errorf("%d of %d bytes, %v", len(got), size, err)
	}
	done.Store(true)
	callers.Wait()
}

// A peer that takes replies more slowly than it may send a body is not waited for
// without end, though it always takes something.
func TestRepliesTakenTooSlowly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{}, func(_, server *SessionConfig) { server.MaxQueued = 256 << 10 })
		e.network.SetFaults(MemFaults{ToDialer: MemPath{Bandwidth: 8 << 10, Buffer: 16 << 10}})
		began := time.Now()
		var callers sync.WaitGroup
		for range 40 {
			callers.Go(func() { _, _ = ask(e.client, "M", strings.Repeat("x", 20<<10), 0) })
		}
		<-e.server.Done()
		if took := time.Since(began); took != 2*DefaultWriteTimeout {
			t.Errorf("it ended after %v: %v", took, e.server.Cause())
		}
		callers.Wait()
	})
}

// A reply that needs the whole queue waits for as long as what is before it takes.
func TestLargeReplyBehindOthersThatAreTakenSlowly(t *testing.T) {
	for _, rate := range []int64{17 << 10, 30 << 10, 50 << 10, 95 << 10} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := connect(t, &service{}, func(_, server *SessionConfig) { server.Room = NewRoom(1000, 64<<20) })
				e.network.SetFaults(MemFaults{ToDialer: MemPath{Bandwidth: rate, Buffer: 16 << 10}})
				var callers sync.WaitGroup
				answered := func(size int) {
					callers.Go(func() {
						if _, err := ask(e.client, "M", strings.Repeat("x", size), 0); err != nil {
							t.Errorf("a reply of %d bytes: %v", size, err)
						}
					})
				}
				for range 20 {
					answered(50 << 10)
				}
				synctest.Wait()
				answered(1536 << 10)
				callers.Wait()
			})
		})
	}
}

// Who hears of a session by OnStart may send it away at once: the hello comes first.
func TestGoAwayFromOnStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var heard []string
		var mu sync.Mutex
		hear := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, what)
		}
		var sent sync.WaitGroup
		e := connect(t, &service{hello: func(*Session, *protocol.Header) { hear("hello") }}, func(client, server *SessionConfig) {
			client.OnGoAway = func(_ *Session, reason string) { hear(reason) }
			server.Hello = map[string]string{"k": "v"}
			server.OnStart = func(s *Session) {
				s.GoAway("away")
				sent.Go(func() { s.GoAway("again") })
			}
		})
		sent.Wait()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(heard) // a hello is not worked up on the reader
		if !slices.Equal(heard, []string{"away", "hello"}) || !errors.Is(e.client.Cause(), errDrained) {
			t.Errorf("heard %q; the session ended with %v", heard, e.client.Cause())
		}
	})
}
