package transport

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// proven is a Pace of tasks that have been quick until now.
func proven() *Pace {
	p := new(Pace)
	for range provenQuick {
		p.Took(quickTask, quickBody)
	}
	return p
}

// atOnce runs asks as begin does, and returns when all have returned.
func (e *ends) atOnce(asks ...func()) { e.begin(asks...)() }

// begin runs each ask on a goroutine of its own, and has one write carry all that they
// send: so one read brings it.
func (e *ends) begin(asks ...func()) (wait func()) {
	e.client.cork()
	var wg sync.WaitGroup
	for _, f := range asks {
		wg.Go(f)
	}
	synctest.Wait()
	e.client.uncork()
	return wg.Wait
}

// echo returns n asks that must be answered.
func (e *ends) echo(t *testing.T, n int) (asks []func()) {
	for range n {
		asks = append(asks, func() {
			if got, err := ask(e.client, "Echo", "hello", time.Minute); err != nil || got != "hello" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	return asks
}

// requests are frames of n requests, numbered from 1.
func requests(n int, h protocol.Header) (frames []byte) {
	for seq := range n {
		h.Seq = uint64(seq + 1)
		frames = protocol.AppendFrameHead(frames, &h, 0)
	}
	return frames
}

func TestPace(t *testing.T) {
	var p Pace
	if p.quick(0) {
		t.Error("quick before anything is known")
	}
	for range provenQuick - 1 {
		p.Took(quickTask, 0)
	}
	if p.Took(time.Nanosecond, quickBody+1); p.quick(0) {
		t.Error("a large body counts")
	}
	if p.Took(quickTask, quickBody); !p.quick(quickBody) || p.quick(quickBody+1) {
		t.Errorf("after %d quick ones: quick %v, with a large body %v", provenQuick, p.quick(quickBody), p.quick(quickBody+1))
	}
	for name, test := range map[string]struct {
		slow  time.Duration
		every int
		quick bool
	}{
		"one in forty a little slow":  {quickTask + 1, 40, true},
		"one in ten a little slow":    {quickTask + 1, 10, false},
		"one in fifty very slow":      {3 * time.Millisecond, 50, false},
		"one in ten thousand is that": {3 * time.Millisecond, 10_000, true},
	} {
		p := proven()
		for n := range 100_000 {
			d := time.Duration(0)
			if n%test.every == test.every/2 {
				d = test.slow
			}
			p.Took(d, 0)
		}
		if p.quick(0) != test.quick {
			t.Errorf("%s: quick %v", name, p.quick(0))
		}
	}
	if p.stuck(); p.quick(0) {
		t.Error("taken for quick after one that was stuck")
	}
	for range stuckCosts + provenQuick {
		p.Took(0, 0)
	}
	if !p.quick(0) {
		t.Error("never trusted again")
	}
	var none *Pace
	none.Took(0, 0)
	if none.stuck(); none.quick(0) {
		t.Error("nil is quick")
	}
}

// The reader serves quick tasks itself, and no others: it wakes no worker for them.
func TestReaderServesQuickTasks(t *testing.T) {
	for name, test := range map[string]struct {
		pace    *Pace
		body, n int
		pause   time.Duration // before each batch
		workers bool
	}{
		"quick":                    {pace: proven(), n: 4},
		"one":                      {pace: proven(), n: 1},
		"now and then one":         {pace: proven(), n: burst - 1, pause: busyFor, workers: true},
		"now and then many":        {pace: proven(), n: burst, pause: busyFor},
		"nothing is known of them": {pace: new(Pace), n: 4, workers: true},
		"no Pace":                  {n: 4, workers: true},
		"large":                    {pace: proven(), body: quickBody + 1, n: 4, workers: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := connect(t, &service{pace: test.pace}, nil)
				var woken atomic.Int32
				work := e.server.work
				e.server.work = func() { woken.Add(1); work() }
				want := strings.Repeat("x", test.body)
				var asks []func()
				for range test.n {
					asks = append(asks, func() {
						if got, err := ask(e.client, "Echo", want, time.Second); err != nil || got != want {
							t.Errorf("%d bytes back, %v", len(got), err)
						}
					})
				}
				for range 10 {
					time.Sleep(test.pause)
					e.atOnce(asks...)
				}
				if n := woken.Load(); n > 0 != test.workers {
					t.Errorf("%d workers were woken", n)
				}
			})
		})
	}
}

// A task that was taken for quick and is not: its session is held up for two looks of
// the overseer at most, and the next of its kind runs on a worker. A cancel reaches it.
func TestTaskThatTakesLongOnTheReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pace := proven()
		e := connect(t, &service{pace: pace, method: func(task *serviceTask) {
			if task.h.MethodName == "Hang" {
				<-task.cancelled
			}
		}}, nil)
		for _, heldUp := range []bool{true, false} {
			ctx, cancel := context.WithCancel(t.Context())
			hang := func() {
				_, err := e.client.RoundTrip(ctx, time.Time{}, &protocol.Header{MethodName: "Hang"}, nil)
				wantError(t, err, protocol.Canceled, protocol.MaybeRun)
			}
			wait := e.begin(hang, hang, hang, hang)
			synctest.Wait()
			begun := time.Now()
			var others sync.WaitGroup
			for _, f := range e.echo(t, 50) {
				others.Go(f)
			}
			others.Go(func() {
				if err := e.client.Ping(t.Context(), in(time.Second)); err != nil {
					t.Error(err)
				}
			})
			others.Wait()
			if took := time.Since(begun); took > 2*overseerTick || took > 0 != heldUp {
				t.Errorf("others took %v", took)
			}
			if pace.quick(0) {
				t.Error("still taken for quick")
			}
			cancel()
			wait()
			synctest.Wait()
			if _, tasks := e.server.Load(); tasks != 0 {
				t.Errorf("%d tasks are left", tasks)
			}
		}
	})
}

// A task on the reader that takes long holds no buffer of the reader's.
func TestTaskOnTheReaderHoldsNoReadBuffer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, s := rawPeer(t, newConfig(&service{pace: proven(), method: func(task *serviceTask) {
			if task.s.serving.Load() && task.s.in.buf != nil { // else the reader is elsewhere
				t.Errorf("%d bytes are held", cap(task.s.in.buf.B))
			}
		}}))
		for range 2 {
			_, _ = r.Write(requests(1, protocol.Header{MessageType: protocol.TypeRequest}))
			if _, err := r.receive(); err != nil {
				t.Fatal(err)
			}
		}
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		if s.queue.turn == nil {
			t.Error("the reader served nothing")
		}
	})
}

// The reader serves nothing while this side waits for answers, which it must read: a
// task may wait for who waits for one.
func TestReaderDoesNotServeWhileThisSideWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lock := make(chan struct{}, 1)
		e := connect(t, &service{pace: proven(), method: func(task *serviceTask) {
			switch task.h.MethodName {
			case "Back":
				time.Sleep(time.Millisecond)
			case "Get":
				lock <- struct{}{}
				<-lock
			}
		}}, nil)
		lock <- struct{}{}
		var calling sync.WaitGroup
		calling.Go(func() {
			if _, err := ask(e.server, "Back", "", 5*time.Millisecond); err != nil {
				t.Errorf("the call that had begun before: %v", err)
			}
			<-lock
		})
		synctest.Wait()
		begun := time.Now()
		if _, err := ask(e.client, "Get", "", time.Second); err != nil || time.Since(begun) != time.Millisecond {
			t.Errorf("%v after %v, want an answer after 1ms", err, time.Since(begun))
		}
		calling.Wait()
	})
}

// messages is a connection of which a read brings one message, as from TLS, however many
// have arrived.
type messages struct {
	net.Conn
	arrived chan []byte
	rest    []byte
}

func (c *messages) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		var open bool
		if c.rest, open = <-c.arrived; !open {
			return 0, io.EOF
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Tasks are timed, deadlines count and cancels act from when they are read: a reader
// that finds one request at each read does not serve them for ever.
func TestReaderThatFindsOneRequestAtATimeReadsOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 2000
		here, there := net.Pipe()
		conn := &messages{Conn: here, arrived: make(chan []byte, n+1)}
		for seq := range uint64(n) {
			conn.arrived <- protocol.AppendFrameHead(nil, &protocol.Header{Seq: seq + 1, MessageType: protocol.TypeOneway}, 0)
		}
		conn.arrived <- protocol.AppendFrameHead(nil, &protocol.Header{Seq: n + 1, MessageType: protocol.TypeHeartbeat}, 0)
		cfg := newConfig(&service{pace: proven(), method: func(*serviceTask) { time.Sleep(15 * time.Microsecond) }})
		cfg.Room = NewRoom(2*n, 1<<20)
		begun := time.Now()
		s := start(t, conn, cfg)
		go func() { _, _ = io.Copy(io.Discard, there) }()
		time.Sleep(time.Second)
		if after := s.LastHeard().Sub(begun); after > mostBehind {
			t.Errorf("the last was read after %v, want at most %v", after, mostBehind)
		}
		close(conn.arrived)
		_ = s.Close()
		cfg.Workers.Close()
	})
}

// What waits behind a task on the reader, in the queue and in the corked outbox, gets
// on when that task takes long.
func TestTasksBehindOneThatTakesLongOnTheReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := rawPeer(t, newConfig(&service{pace: proven(), method: func(task *serviceTask) {
			if task.h.Seq == 2 {
				time.Sleep(time.Minute)
			}
		}}))
		begun := time.Now()
		_, _ = r.Write(requests(5, protocol.Header{MessageType: protocol.TypeRequest}))
		for range 4 {
			if _, err := r.receive(); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took > 2*overseerTick {
			t.Errorf("four answers took %v", took)
		}
		_ = r.SetReadDeadline(in(time.Hour))
		if m, err := r.receive(); err != nil || m.Seq != 2 || time.Since(begun) < time.Minute {
			t.Errorf("the answer to %d came after %v, %v", m.Seq, time.Since(begun), err)
		}
	})
}

// The answers to a burst of quick tasks are written together, for as long as that is
// no time.
func TestAnswersOfTheReaderGoOutTogether(t *testing.T) {
	for name, test := range map[string]struct{ takes, within time.Duration }{
		"at once": {0, 0},
		"in time": {quickTask, corkedFor + turnLook*quickTask},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const n = 100
				r, s := rawPeer(t, newConfig(&service{pace: proven(), method: func(*serviceTask) { time.Sleep(test.takes) }}))
				writes, last := 0, time.Now()
				try := s.sock.try
				s.sock.try = func(bufs [][]byte) (int, error) {
					if gap := time.Since(last); gap > test.within {
						t.Errorf("a write after %v", gap)
					}
					writes, last = writes+1, time.Now()
					return try(bufs)
				}
				_, _ = r.Write(requests(n, protocol.Header{MessageType: protocol.TypeRequest}))
				for range n {
					if _, err := r.receive(); err != nil {
						t.Fatal(err)
					}
				}
				_ = s.Close()
				if most := 1 + int(n*test.takes/corkedFor); writes > 2*most {
					t.Errorf("%d writes", writes)
				}
			})
		})
	}
}

// An answer for which there is no room while the outbox is corked does not wait for
// what nobody writes.
func TestAnswersLargerThanTheRoomOfACorkedOutbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{pace: proven(), method: func(task *serviceTask) {
			task.body.Release()
			task.body = text("hello" + strings.Repeat("x", 3000))
		}}, func(_, server *SessionConfig) { server.MaxQueued = 4000 })
		begun := time.Now()
		var asks []func()
		for range 20 {
			asks = append(asks, func() {
				if got, err := ask(e.client, "M", "", time.Second); err != nil || len(got) != 3005 {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
		e.atOnce(asks...)
		if took := time.Since(begun); took > 0 {
			t.Errorf("took %v", took)
		}
	})
}

// What a handler may do on a worker it may do on the reader: call back, even with
// little time for it, end its session, end its goroutine.
func TestWhatAHandlerDoesOnTheReader(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, task *serviceTask){
		"calls back": func(t *testing.T, task *serviceTask) {
			if got, err := ask(task.s, "Inner", "hello", time.Millisecond); err != nil || got != "hello" {
				t.Errorf("call back: %q, %v", got, err)
			}
		},
		"sends a oneway": func(t *testing.T, task *serviceTask) {
			err := task.s.Notify(t.Context(), in(time.Millisecond), &protocol.Header{MessageType: protocol.TypeOneway, MethodName: "Inner"}, nil)
			if err != nil {
				t.Error(err)
			}
		},
		"closes the session": func(_ *testing.T, task *serviceTask) { _ = task.s.Close() },
		"ends its goroutine": func(_ *testing.T, task *serviceTask) {
			task.s.Finish(task.h.Seq) // nobody else will
			runtime.Goexit()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				closes, exits := name == "closes the session", name == "ends its goroutine"
				e := connect(t, &service{pace: proven(), method: func(task *serviceTask) {
					if task.h.MethodName == "Do" {
						do(t, task)
					}
				}}, nil)
				begun := time.Now()
				var asks []func()
				for n := range 9 {
					asks = append(asks, func() {
						method := "Echo"
						if n%3 == 1 {
							method = "Do"
						}
						_, err := ask(e.client, method, "", 100*time.Millisecond)
						if err != nil && !closes && !(exits && method == "Do") {
							t.Errorf("%s: %v", method, err)
						}
					})
				}
				e.atOnce(asks...)
				if took := time.Since(begun); took > 2*overseerTick && !exits {
					t.Errorf("took %v", took)
				}
				if closes {
					<-e.client.Done()
					return
				}
				e.atOnce(e.echo(t, 5)...)
			})
		})
	}
}

// Who was the reader is waited for as the workers are.
func TestWorkersWaitForWhoWasTheReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := false
		r, s := rawPeer(t, newConfig(&service{pace: proven(), method: func(task *serviceTask) {
			if task.h.Seq == 1 {
				time.Sleep(time.Minute)
				ended = true
			}
		}}))
		_, _ = r.Write(requests(4, protocol.Header{MessageType: protocol.TypeRequest}))
		for range 3 {
			if _, err := r.receive(); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		_ = s.Close()
		if took := time.Since(begun); took > 0 {
			t.Errorf("Close of the session took %v", took)
		}
		if s.cfg.Workers.Close(); !ended {
			t.Error("the Workers are closed, and a handler runs")
		}
	})
}

// A session may end while its reader serves.
func TestCloseWhileTheReaderServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, s := rawPeer(t, newConfig(&service{pace: proven(), method: func(*serviceTask) { time.Sleep(time.Minute) }}))
		_, _ = r.Write(requests(4, protocol.Header{MessageType: protocol.TypeRequest}))
		synctest.Wait()
		begun := time.Now()
		_ = s.Close()
		if took := time.Since(begun); took == 0 || took > 2*overseerTick {
			t.Errorf("Close of the session took %v", took)
		}
		s.cfg.Workers.Close()
		if took := time.Since(begun); took < time.Minute || took > time.Minute+2*overseerTick {
			t.Errorf("the Workers were closed after %v", took)
		}
	})
}

// Workers may be closed while sessions go on: readers serve no more, and Close does
// not wait for them.
func TestCloseOfWorkersWhoseReadersServe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{pace: proven()}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				e.atOnce(e.echo(t, 5)...)
				time.Sleep(100 * time.Microsecond)
			}
		}()
		time.Sleep(20*time.Millisecond + 50*time.Microsecond)
		begun := time.Now()
		e.serverCfg.Workers.Close()
		if took := time.Since(begun); took > 2*overseerTick {
			t.Errorf("Close took %v", took)
		}
		time.Sleep(20 * time.Millisecond)
		cancel()
		<-ended
	})
}

// A reader that lost its turn between two tasks, as when its thread is not scheduled,
// holds back no answers: nobody would find out.
func TestTurnThatEndsBetweenTwoTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const corked = int(corkedFor/quickTask/turnLook)*turnLook + turnLook
		r, s := rawPeer(t, newConfig(&service{pace: proven(), method: func(task *serviceTask) {
			if task.h.Seq > uint64(corked) {
				time.Sleep(time.Minute)
			}
			time.Sleep(quickTask)
		}}))
		try, late := s.sock.try, false
		s.sock.try = func(bufs [][]byte) (int, error) {
			if !late {
				late = true
				time.Sleep(3 * overseerTick)
			}
			return try(bufs)
		}
		_, _ = r.Write(requests(corked+1, protocol.Header{MessageType: protocol.TypeRequest}))
		for range corked {
			if _, err := r.receive(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * overseerTick)
		r.send(protocol.Header{Seq: 99, MessageType: protocol.TypeHeartbeat}, "")
		begun := time.Now()
		m, err := r.receive()
		if took := time.Since(begun); err != nil || m.Seq != 99 || took > 0 {
			t.Errorf("%d after %v, %v", m.Seq, took, err)
		}
	})
}

// A reader that is behind does not serve: the time of what waits in the socket does not
// pass for the server.
func TestReaderThatIsBehindReadsOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const timeout, n = 5 * time.Millisecond, 20_000 // some 9 reads, each worth 0.9 ms
		var sent time.Time
		var ran, late atomic.Int64
		cfg := newConfig(&service{pace: proven(), method: func(task *serviceTask) {
			if !time.Now().Before(task.deadline) {
				return
			}
			ran.Add(1)
			if time.Since(sent) >= timeout {
				late.Add(1)
			}
			time.Sleep(400 * time.Nanosecond)
		}})
		cfg.Room = nil
		r, _ := rawPeer(t, cfg)
		r.Conn.(*MemConn).SetFaults(MemFaults{ToListener: MemPath{Buffer: 4 << 20}})
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			for range n {
				if _, err := r.receive(); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		sent = time.Now()
		_, _ = r.Write(requests(n, protocol.Header{MessageType: protocol.TypeRequest, Timeout: timeout}))
		<-drained
		if ran.Load() == 0 || late.Load() > 0 {
			t.Errorf("%d ran, %d of them when their time was up", ran.Load(), late.Load())
		}
	})
}

// What a peer does not read is not the method's time.
func TestPeerThatReadsNothingOfWhatTheReaderAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pace := proven()
		r, _ := rawPeer(t, newConfig(&service{pace: pace, method: func(task *serviceTask) {
			task.body.Release()
			task.body = text(strings.Repeat("x", 4000))
		}}))
		_, _ = r.Write(requests(900, protocol.Header{MessageType: protocol.TypeRequest}))
		time.Sleep(50 * time.Millisecond)
		if !pace.quick(0) {
			t.Error("the method is no longer taken for quick")
		}
	})
}
