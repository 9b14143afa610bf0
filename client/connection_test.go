package client_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

func TestCallEndsAtItsLimitExactly(t *testing.T) {
	for _, test := range []struct {
		name    string
		option  time.Duration
		context time.Duration
		want    time.Duration
		says    string
	}{
		{"the default", 0, 0, time.Second, "RequestTimeout (1s)"},
		{"RequestTimeout", 300 * time.Millisecond, time.Hour, 300 * time.Millisecond, "RequestTimeout (300ms)"},
		{"the context", 0, 200 * time.Millisecond, 200 * time.Millisecond, "deadline of the caller's context"},
		{"the context, RequestTimeout off", -1, 70 * time.Second, 70 * time.Second, "deadline of the caller's context"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := transport.NewMemNetwork()
				// The provider's own clock of the call must not win.
				n.SetFaults(transport.BothWays(transport.MemPath{Latency: time.Millisecond}))
				listenMem(t, n, "a")
				c := dialMem(t, n, "a", client.Option{RequestTimeout: test.option})
				ctx := context.Background()
				if test.context > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.context)
					defer cancel()
				}
				begun := time.Now()
				err := c.Call(ctx, "Echo.Hang", &text{}, nil)
				if took := time.Since(begun); took != test.want {
					t.Errorf("the call took %v, want %v", took, test.want)
				}
				wantError(t, err, protocol.DeadlineExceeded, protocol.MaybeRun, test.says)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v is no context.DeadlineExceeded", err)
				}
			})
		})
	}
}

// Client and provider have the same deadline: whichever is quicker at it, the client's
// clock or the answer of a method that gave up for its context, the call has ended at
// its deadline.
func TestCallWhoseMethodGivesUpAtTheDeadline(t *testing.T) {
	for _, held := range []bool{false, true} { // as a call does it, and as those do that are made beside others
		synctest.Test(t, func(t *testing.T) {
			n := transport.NewMemNetwork()
			listenMem(t, n, "a")
			c := dialMem(t, n, "a", client.Option{RequestTimeout: 50 * time.Millisecond})
			sg := newSG(t, n, registry.NewPeer2PeerRegistry().WithProvider(at("a")), func(op *client.SGOption) {
				op.RequestTimeout = 50 * time.Millisecond
			})
			for range 100 {
				var err error
				begun := time.Now()
				if held {
					err = sg.Fork(context.Background(), "Echo.Hang", &text{}, nil, 1)
				} else {
					err = c.Call(context.Background(), "Echo.Hang", &text{}, nil)
				}
				if took := time.Since(begun); took != 50*time.Millisecond {
					t.Fatalf("the call took %v", took)
				}
				if protocol.CodeOf(err) != protocol.DeadlineExceeded {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestCancelledCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		p := listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		say(t, c)
		ctx, cancel := context.WithCancel(context.Background())
		call := c.Go(ctx, "Echo.Hang", &text{}, nil, nil)
		synctest.Wait()
		begun := time.Now()
		cancel()
		<-call.Done
		wantError(t, call.Error, protocol.Canceled, protocol.MaybeRun, "canceled")
		if took := time.Since(begun); took != 0 || !errors.Is(call.Error, context.Canceled) {
			t.Errorf("%v after %v", call.Error, took)
		}
		synctest.Wait()
		if _, tasks := p.session(0).Load(); tasks != 0 {
			t.Error("the handler was not told")
		}
		before := p.calls.Load()
		err := c.Call(ctx, "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.Canceled, protocol.NotSent, "before the call was made")
		synctest.Wait()
		if p.calls.Load() != before {
			t.Error("a call whose context had ended ran")
		}
		say(t, c)
	})
}

func TestOneDialServesAllCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.BothWays(transport.MemPath{Latency: 50 * time.Millisecond}))
		p := listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { say(t, c) })
		}
		wg.Wait()
		if got := p.accepted.Load(); got != 1 {
			t.Errorf("%d connections for 50 callers", got)
		}
	})
}

func TestWaitForADialEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.MemFaults{HangDials: true})
		c := dialMem(t, n, "a", client.Option{DialTimeout: time.Minute, RequestTimeout: 5 * time.Second})
		var wg sync.WaitGroup
		for _, wait := range []time.Duration{time.Millisecond, time.Second, time.Hour} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), wait)
				defer cancel()
				begun := time.Now()
				err := c.Call(ctx, "Echo.Say", &text{}, nil)
				if took, want := time.Since(begun), min(wait, 5*time.Second); took != want {
					t.Errorf("waited %v, want %v", took, want)
				}
				wantError(t, err, protocol.DeadlineExceeded, protocol.NotSent, "while waiting for a connection to mem a")
			})
		}
		wg.Wait()
	})
}

func TestPausesBetweenDialsGrowAndAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failures []time.Time
		op := client.Option{RedialInitial: 100 * time.Millisecond, RedialMax: 800 * time.Millisecond}
		op.OnStateChange = func(s client.StateChange) {
			if s.State == client.Failing {
				failures = append(failures, time.Now())
			}
		}
		c := dialMem(t, transport.NewMemNetwork(), "nobody", op)
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
			wantError(t, err, protocol.Unavailable, protocol.NotSent, "connection refused")
		}
		_ = c.Close() // waits for the hook
		if len(failures) < 12 {
			t.Fatalf("%d dials in 10 s", len(failures))
		}
		limit := 100 * time.Millisecond
		for i := 1; i < len(failures); i++ {
			pause := failures[i].Sub(failures[i-1])
			if pause < limit/2 || pause > limit+time.Millisecond {
				t.Errorf("pause %d was %v, want %v to %v", i, pause, limit/2, limit)
			}
			limit = min(2*limit, 800*time.Millisecond)
		}
	})
}

func TestPauseStartsAnewAfterASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		c := dialMem(t, n, "a", client.Option{})
		for range 500 { // 5 s of failures: the pause is long by now
			_ = c.Call(context.Background(), "Echo.Say", &text{}, nil)
			time.Sleep(10 * time.Millisecond)
		}
		p := listenMem(t, n, "a")
		time.Sleep(5 * time.Second)
		say(t, c)
		n.CutAll()
		synctest.Wait()
		say(t, c) // at once: the lost connection had worked
		p.stop()
		synctest.Wait()
		_ = c.Call(context.Background(), "Echo.Say", &text{}, nil)
		listenMem(t, n, "a")
		time.Sleep(100 * time.Millisecond)
		say(t, c)
	})
}

func TestLostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		call := c.Go(context.Background(), "Echo.Hang", &text{}, nil, nil)
		synctest.Wait()
		begun := time.Now()
		n.CutAll()
		<-call.Done
		wantError(t, call.Error, protocol.Unavailable, protocol.MaybeRun, "lost")
		if took := time.Since(begun); took != 0 {
			t.Errorf("the call learnt of it after %v", took)
		}
	})
}

func TestHeartbeats(t *testing.T) {
	const interval = time.Second
	op := client.Option{Heartbeat: true, HeartbeatInterval: interval, HeartbeatDegradeThreshold: 3, RequestTimeout: -1}

	t.Run("a silent peer is left after three misses", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := transport.NewMemNetwork()
			listenMem(t, n, "a")
			c := dialMem(t, n, "a", op)
			say(t, c)
			heard := time.Now()
			call := c.Go(context.Background(), "Echo.Hang", &text{}, nil, nil)
			synctest.Wait()
			n.SetFaults(transport.BothWays(transport.MemPath{Blackhole: true}))
			<-call.Done
			if took := time.Since(heard); took != 4*interval {
				t.Errorf("noticed after %v, want %v", took, 4*interval)
			}
			wantError(t, call.Error, protocol.Unavailable, protocol.MaybeRun, "3 heartbeats in a row")
			var missed *client.HeartbeatError
			if !errors.As(call.Error, &missed) || missed.Missed != 3 {
				t.Errorf("no HeartbeatError in %v", call.Error)
			}
		})
	})
	t.Run("an idle peer that answers is kept", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := transport.NewMemNetwork()
			p := listenMem(t, n, "a")
			c := dialMem(t, n, "a", op)
			say(t, c)
			time.Sleep(2 * time.Minute)
			say(t, c)
			if got := p.accepted.Load(); got != 1 {
				t.Errorf("%d connections", got)
			}
		})
	})
	t.Run("two misses are forgiven", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := transport.NewMemNetwork()
			p := listenMem(t, n, "a")
			c := dialMem(t, n, "a", op)
			say(t, c)
			for range 10 {
				n.SetFaults(transport.BothWays(transport.MemPath{Blackhole: true}))
				time.Sleep(2*interval + interval/2)
				n.SetFaults(transport.MemFaults{})
				time.Sleep(3 * interval)
			}
			say(t, c)
			if got := p.accepted.Load(); got != 1 {
				t.Errorf("%d connections", got)
			}
		})
	})
	t.Run("answers to calls are life", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := transport.NewMemNetwork()
			p := listenMem(t, n, "a")
			c := dialMem(t, n, "a", op)
			for range 100 {
				say(t, c)
				time.Sleep(interval / 2)
			}
			if got := p.accepted.Load(); got != 1 {
				t.Errorf("%d connections", got)
			}
		})
	})
}

func TestGoAwayHandsOverWithoutAFailedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.BothWays(transport.MemPath{Latency: 3 * time.Millisecond}))
		p := listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		slow := c.Go(context.Background(), "Echo.Slow", &text{"500ms"}, new(text), nil)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 50 {
					say(t, c)
				}
			})
		}
		for i := range 5 { // the provider asks for a new connection, again and again
			time.Sleep(50 * time.Millisecond)
			p.session(i).GoAway("connections are made anew now and then")
		}
		wg.Wait()
		if <-slow.Done; slow.Error != nil {
			t.Errorf("the call that was running: %v", slow.Error)
		}
		if got := p.accepted.Load(); got != 6 {
			t.Errorf("%d connections, want 6", got)
		}
	})
}

func TestGoAwayBeforeAnAnswerIsAFailedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		p := listenMem(t, n, "a")
		p.goaway.Store(true)
		c := dialMem(t, n, "a", client.Option{})
		for range 1000 {
			err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
			if protocol.CodeOf(err) != protocol.Unavailable {
				t.Fatalf("got %v", err)
			}
			if o := protocol.OutcomeOf(err); o != protocol.NotSent && o != protocol.Refused {
				t.Fatalf("outcome %v of %v", o, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got := p.accepted.Load(); got > 12 {
			t.Errorf("%d connections in 10 s to a provider that sends everyone away", got)
		}
	})
}

func TestStateChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []client.State
		op := client.Option{OnStateChange: func(s client.StateChange) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, s.State)
			if s.Network != "mem" || s.Addr != "a" {
				t.Errorf("told of %s %s", s.Network, s.Addr)
			}
		}}
		n := transport.NewMemNetwork()
		c := dialMem(t, n, "a", op)
		_ = c.Call(context.Background(), "Echo.Say", &text{}, nil)
		listenMem(t, n, "a")
		time.Sleep(time.Second)
		say(t, c)
		n.CutAll()
		synctest.Wait()
		_ = c.Close()
		_ = c.Close()
		want := []client.State{client.Connecting, client.Failing, client.Connecting, client.Connected, client.Idle, client.Closed}
		if !slices.Equal(got, want) {
			t.Errorf("told of %v, want %v", got, want)
		}
	})
}

// A hook that ends its goroutine, as the FailNow of a test does, is told of what follows.
func TestStateHookThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []client.State
		op := client.Option{OnStateChange: func(s client.StateChange) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, s.State)
			runtime.Goexit()
		}}
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", op)
		say(t, c)
		synctest.Wait()
		_ = c.Close()
		synctest.Wait()
		if want := []client.State{client.Connecting, client.Connected, client.Closed}; !slices.Equal(got, want) {
			t.Errorf("told of %v, want %v", got, want)
		}
	})
}

// Who refuses calls as one that leaves, and never says goaway, is connected to anew for
// the next one: the connection that nobody uses any more does not stay.
func TestRefusingPeerKeepsNoConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		p := listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{RequestTimeout: 10 * time.Second, Heartbeat: true, HeartbeatInterval: time.Second})
		say(t, c)
		slow := c.Go(context.Background(), "Echo.Slow", &text{"3s"}, new(text), nil)
		synctest.Wait()
		p.refusal.Store(protocol.Draining("maintenance"))
		for range 20 {
			err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
			wantError(t, err, protocol.Unavailable, protocol.Refused, "maintenance")
		}
		if <-slow.Done; slow.Error != nil {
			t.Errorf("the call that was running: %v", slow.Error)
		}
		time.Sleep(5 * time.Second)
		alive := 0
		for i := range int(p.accepted.Load()) {
			if p.session(i).Err() == nil {
				alive++
			}
		}
		if alive != 1 {
			t.Errorf("%d of %d connections are alive, want the one that the next call would use", alive, p.accepted.Load())
		}
		p.refusal.Store(nil)
		say(t, c)
	})
}
