package transport

import (
	"context"
	"fmt"
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
	for n := range 10_000 { // one in forty is slow
		if p.Took(quickTask+time.Duration(n%40/39), 0); n > 40 && !p.quick(0) {
			t.Fatalf("not taken for quick after %d", n)
		}
	}
	for n := range 1000 { // one in ten
		p.Took(quickTask+time.Duration(n%10/9), 0)
	}
	if p.quick(0) {
		t.Error("taken for quick though one in ten is slow")
	}
	for range 1000 {
		p.Took(0, 0)
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
	if none.Took(0, 0); none.quick(0) {
		t.Error("nil is quick")
	}
}

// The reader serves quick tasks itself, and no others: it wakes no worker for them.
func TestReaderServesQuickTasks(t *testing.T) {
	for name, test := range map[string]struct {
		pace    *Pace
		body    int
		gap     time.Duration
		workers bool
	}{
		"quick":                    {pace: proven()},
		"nothing is known of them": {pace: new(Pace), workers: true},
		"large":                    {pace: proven(), body: quickBody + 1, workers: true},
		"seldom":                   {pace: proven(), gap: hotGap, workers: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := connect(t, &service{pace: test.pace}, nil)
				var woken atomic.Int32
				work := e.server.work
				e.server.work = func() { woken.Add(1); work() }
				for range 10 {
					time.Sleep(test.gap)
					want := strings.Repeat("x", test.body)
					if got, err := ask(e.client, "Echo", want, time.Second); err != nil || got != want {
						t.Fatalf("%d bytes back, %v", len(got), err)
					}
				}
				if n := woken.Load(); n > 0 != test.workers {
					t.Errorf("%d workers were woken", n)
				}
			})
		})
	}
}

// A task that was taken for quick and is not: its session is held up for two looks of
// the overseer at most, and the next of its kind runs on a worker.
func TestTaskThatTakesLongOnTheReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pace := proven()
		e := connect(t, &service{pace: pace, method: func(task *serviceTask) {
			if task.h.MethodName == "Hang" {
				<-task.cancelled
			}
		}}, nil)
		_, _ = ask(e.client, "Echo", "", time.Second)
		for _, heldUp := range []bool{true, false} {
			ctx, cancel := context.WithCancel(t.Context())
			var hung sync.WaitGroup
			hung.Go(func() {
				_, err := e.client.RoundTrip(ctx, time.Time{}, &protocol.Header{MethodName: "Hang"}, nil)
				wantError(t, err, protocol.Canceled, protocol.MaybeRun)
			})
			synctest.Wait()
			begun := time.Now()
			var others sync.WaitGroup
			for range 64 {
				others.Go(func() {
					if _, err := ask(e.client, "Echo", "", time.Second); err != nil {
						t.Error(err)
					}
				})
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
			cancel()
			hung.Wait()
			synctest.Wait()
			if _, tasks := e.server.Load(); tasks != 0 {
				t.Errorf("%d tasks are left", tasks)
			}
			if pace.quick(0) {
				t.Error("still taken for quick")
			}
		}
	})
}

// What waits behind a task on the reader, in the queue and in the corked outbox, gets
// on when that task takes long.
func TestTasksBehindOneThatTakesLongOnTheReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		order := 0
		e := connect(t, &service{pace: proven(), method: func(*serviceTask) {
			mu.Lock()
			order++
			second := order == 2
			mu.Unlock()
			if second {
				time.Sleep(time.Minute)
			}
		}}, nil)
		r, s := rawPeer(t, e.serverCfg)
		var burst []byte
		for seq := range uint64(5) {
			burst = protocol.AppendFrameHead(burst, &protocol.Header{Seq: seq + 1, MessageType: protocol.TypeRequest}, 0)
		}
		begun := time.Now()
		_, _ = r.Write(burst)
		for range 4 {
			if _, err := r.receive(); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took > 2*overseerTick {
			t.Errorf("four answers took %v", took)
		}
		if m, err := r.receive(); err != nil || m.Seq != 2 || time.Since(begun) < time.Minute {
			t.Errorf("the answer to %d came after %v, %v", m.Seq, time.Since(begun), err)
		}
		_ = s.Close()
	})
}

// The answers to a burst of quick tasks are written together.
func TestAnswersOfTheReaderGoOutTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{pace: proven()}, nil)
		r, s := rawPeer(t, e.serverCfg)
		writes := 0
		try := s.sock.try
		s.sock.try = func(bufs [][]byte) (int, error) { writes++; return try(bufs) }
		var burst []byte
		for seq := range uint64(100) {
			burst = protocol.AppendFrameHead(burst, &protocol.Header{Seq: seq + 1, MessageType: protocol.TypeRequest}, 0)
		}
		_, _ = r.Write(burst)
		for seq := range uint64(100) {
			if m, err := r.receive(); err != nil || m.Seq != seq+1 {
				t.Fatalf("answer %d is to %d, %v", seq+1, m.Seq, err)
			}
		}
		_ = s.Close()
		if writes > 4 {
			t.Errorf("%d writes", writes)
		}
	})
}

// An answer for which there is no room while the outbox is corked does not wait for
// what nobody writes.
func TestAnswersLargerThanTheRoomOfACorkedOutbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{pace: proven(), method: func(task *serviceTask) {
			task.body = text(strings.Repeat("x", 3000))
		}}, func(_, server *SessionConfig) { server.MaxQueued = 4000 })
		_, _ = ask(e.client, "Echo", "", time.Second)
		begun := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got, err := ask(e.client, "M", "", time.Second); err != nil || len(got) != 3000 {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(begun); took > 0 {
			t.Errorf("took %v", took)
		}
	})
}

// What a handler may do on a worker it may do on the reader: call back, end its
// session, end its goroutine.
func TestWhatAHandlerDoesOnTheReader(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, task *serviceTask){
		"calls back": func(t *testing.T, task *serviceTask) {
			if got, err := ask(task.s, "Inner", "hello", time.Second); err != nil || got != "hello" {
				t.Errorf("call back: %q, %v", got, err)
			}
		},
		"sends a oneway": func(t *testing.T, task *serviceTask) {
			err := task.s.Notify(t.Context(), in(time.Second), &protocol.Header{MessageType: protocol.TypeOneway, MethodName: "Inner"}, nil)
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
		for _, burst := range []int{1, 5} {
			t.Run(fmt.Sprint(name, " in a burst of ", burst), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					e := connect(t, &service{pace: proven(), method: func(task *serviceTask) {
						if task.h.MethodName == "Do" {
							do(t, task)
						}
					}}, nil)
					_, _ = ask(e.client, "Echo", "", time.Second)
					begun := time.Now()
					var wg sync.WaitGroup
					for n := range burst {
						wg.Go(func() {
							method := "Echo"
							if n == burst/2 {
								method = "Do"
							}
							_, err := ask(e.client, method, "", 100*time.Millisecond)
							if err != nil && method == "Echo" && name != "closes the session" {
								t.Error(err)
							}
						})
					}
					wg.Wait()
					if took := time.Since(begun); took > 2*overseerTick && name != "ends its goroutine" {
						t.Errorf("took %v", took)
					}
					if name == "closes the session" {
						<-e.client.Done()
						return
					}
					if got, err := ask(e.client, "Echo", "still here", time.Second); err != nil || got != "still here" {
						t.Errorf("%q, %v", got, err)
					}
				})
			})
		}
	}
}

// Who was the reader is waited for as the workers are.
func TestWorkersWaitForWhoWasTheReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := false
		e := connect(t, &service{pace: proven(), method: func(task *serviceTask) {
			if task.h.MethodName == "Sleep" {
				time.Sleep(time.Minute)
				ended = true
			}
		}}, nil)
		_, _ = ask(e.client, "Echo", "", time.Second)
		_, err := ask(e.client, "Sleep", "", time.Second)
		wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun)
		begun := time.Now()
		_ = e.server.Close()
		if took := time.Since(begun); took > 0 {
			t.Errorf("Close of the session took %v", took)
		}
		if e.serverCfg.Workers.Close(); !ended {
			t.Error("the Workers are closed, and a handler runs")
		}
	})
}

// A session may end, and its Workers may be closed, while its reader serves.
func TestCloseWhileTheReaderServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, &service{pace: proven(), method: func(task *serviceTask) {
			if task.h.MethodName == "Sleep" {
				time.Sleep(time.Minute)
			}
		}}, nil)
		_, _ = ask(e.client, "Echo", "", time.Second)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := ask(e.client, "Sleep", "", time.Hour)
				wantError(t, err, protocol.Unavailable, protocol.MaybeRun)
			})
		}
		synctest.Wait()
		begun := time.Now()
		_ = e.server.Close()
		if took := time.Since(begun); took > 2*overseerTick {
			t.Errorf("Close of the session took %v", took)
		}
		wg.Wait()
		e.serverCfg.Workers.Close()
		if took := time.Since(begun); took < time.Minute-time.Second {
			t.Errorf("the Workers were closed after %v", took)
		}
	})
}
