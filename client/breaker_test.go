package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

func withBreaker(op *client.SGOption) {
	op.CircuitBreakerThreshold, op.CircuitBreakerWindow = 5, time.Second
	op.Heartbeat = false
}

func TestABreakerOpensProbesAndCloses(t *testing.T) {
	withFleet(t, 3, withBreaker, func(w *fleet) {
		var broken atomic.Bool
		var probes atomic.Int32
		for i, p := range w.providers {
			p.handle("Echo.Sick", func(context.Context, *text) (*text, error) {
				if i != 1 {
					return &text{}, nil
				}
				probes.Add(1)
				time.Sleep(100 * time.Millisecond)
				if broken.Load() {
					return nil, protocol.NewError(protocol.Unavailable, "no database")
				}
				return &text{}, nil
			})
		}
		broken.Store(true)
		var wg sync.WaitGroup
		burst := func(n int) (failed int32) {
			synctest.Wait() // a view may be due at this very moment
			var count atomic.Int32
			for range n {
				wg.Go(func() {
					if w.client.Call(context.Background(), "Echo.Sick", &text{}, nil) != nil {
						count.Add(1)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			return count.Load()
		}
		if failed := burst(60); failed < 5 { // those that began before it opened fail together
			t.Fatalf("%d calls failed", failed)
		}
		s := w.status(1)
		var open *client.BreakerError
		if s.Breaker != client.BreakerOpen || s.State != client.Connected || !errors.As(s.Excluded, &open) {
			t.Errorf("%v, breaker %v, excluded %v", s.State, s.Breaker, s.Excluded)
		}
		probes.Store(0)
		time.Sleep(900*time.Millisecond - 1)
		if failed := burst(60); failed != 0 || probes.Load() != 0 {
			t.Errorf("%d calls failed, and the provider got %d of them", failed, probes.Load())
		}
		time.Sleep(100 * time.Millisecond) // of the window's end
		time.Sleep(time.Nanosecond)
		if failed := burst(60); failed != 1 || probes.Load() != 1 {
			t.Errorf("after the window %d calls failed, and the provider got %d", failed, probes.Load())
		}
		broken.Store(false)
		time.Sleep(time.Second)
		if failed := burst(60); failed != 0 || probes.Load() != 2 {
			t.Errorf("after the second window %d calls failed, and the provider got %d", failed, probes.Load()-1)
		}
		if failed := burst(60); failed != 0 || probes.Load() < 10 {
			t.Errorf("when the breaker had closed %d calls failed, and the provider got %d", failed, probes.Load()-2)
		}
		want := []string{
			"100ms connected open",
			"1.1s connected half-open", "1.2s connected open",
			"2.2s connected half-open", "2.3s connected closed",
		}
		if got := w.changes(1); !slices.Equal(got, want) {
			t.Errorf("told\n%q, want\n%q", got, want)
		}
		if got := w.changes(0); len(got) != 0 {
			t.Errorf("told of a provider that is well: %q", got)
		}
	})
}

func TestEveryBreakerOpen(t *testing.T) {
	withFleet(t, 2, withBreaker, func(w *fleet) {
		for _, p := range w.providers {
			p.handle("Echo.Sick", func(context.Context, *text) (*text, error) {
				return nil, protocol.NewError(protocol.Unavailable, "no database")
			})
		}
		err := w.sick(9)
		for range 100 { // until both are open
			if err = w.sick(1); protocol.OutcomeOf(err) == protocol.NotSent {
				break
			}
		}
		wantOpen(t, err, time.Second)
		time.Sleep(300 * time.Millisecond)
		err = w.client.Call(context.Background(), "Echo.Say", &text{"hello"}, nil)
		wantOpen(t, err, 700*time.Millisecond)
		time.Sleep(700 * time.Millisecond)
		for range 10 { // the probes are calls of another method, and go well
			say(t, w.client)
		}
		for i := range w.providers {
			if s := w.status(i); s.Breaker != client.BreakerClosed || s.Excluded != nil {
				t.Errorf("%s: breaker %v, excluded %v", p(i), s.Breaker, s.Excluded)
			}
		}
	})
}

// The tags of a call leave one provider, whose breaker is open: it is not called
// silently, and the error says when.
func TestTheOnlyProviderForACallHasAnOpenBreaker(t *testing.T) {
	withFleet(t, 2, withBreaker, func(w *fleet) {
		list(t, w.registry, "p0", map[string]string{"idc": "lf"})
		synctest.Wait()
		w.fail(0, protocol.NewError(protocol.Unavailable, "no database"))
		w.sick(5)
		ctx := client.With(context.Background(), client.Tags(map[string]string{"idc": "lf"}))
		wantOpen(t, w.client.Call(ctx, "Echo.Say", &text{}, nil), time.Second)
		say(t, w.client)
		ctx = client.With(context.Background(), client.Tags(map[string]string{"idc": "yf"}))
		err := w.client.Call(ctx, "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "")
	})
}

// What counts is what speaks of the provider's health.
func TestWhatABreakerCounts(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		open bool
	}{
		{"unavailable", protocol.NewError(protocol.Unavailable, "no database"), true},
		{"a deadline of its own", protocol.NewError(protocol.DeadlineExceeded, "the database"), true},
		{"overloaded", &protocol.Error{Code: protocol.ResourceExhausted, Elsewhere: true}, true},
		{"a rate limit", &protocol.Error{Code: protocol.ResourceExhausted, Elsewhere: true, RetryAfter: time.Second}, false},
		{"a quota of the method's", protocol.NewError(protocol.ResourceExhausted, "no more today"), false},
		{"a mistake of the caller's", protocol.NewError(protocol.InvalidArgument, "negative"), false},
		{"an error of the method's", errors.New("no such account"), false},
		{"not found", protocol.NewError(protocol.NotFound, "no such account"), false},
		{"the wrong caller", protocol.NewError(protocol.Unauthenticated, "who are you"), false},
		{"the wrong provider", &protocol.Error{Code: protocol.FailedPrecondition, Elsewhere: true}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			withFleet(t, 2, withBreaker, func(w *fleet) {
				w.fail(0, test.err)
				w.sick(5)
				if open := w.status(0).Breaker == client.BreakerOpen; open != test.open {
					t.Errorf("after five of them the breaker is open: %v, want %v", open, test.open)
				}
			})
		})
	}
}

// A provider that refuses may do so for one method alone, as the breaker of a method
// does: then it says when to come back.
func TestWhatRefusalsABreakerCounts(t *testing.T) {
	later := &protocol.Error{Code: protocol.Unavailable, Elsewhere: true, RetryAfter: 900 * time.Millisecond}
	for _, test := range []struct {
		name string
		err  *protocol.Error
		open bool
	}{
		{"unavailable", protocol.NewError(protocol.Unavailable, "no database"), true},
		{"the breaker of a method", later, false},
		{"overloaded", &protocol.Error{Code: protocol.ResourceExhausted, Elsewhere: true}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			withFleet(t, 2, withBreaker, func(w *fleet) {
				w.fail(0, nil)
				w.providers[0].refusal.Store(test.err)
				w.sick(5)
				if open := w.status(0).Breaker == client.BreakerOpen; open != test.open {
					t.Errorf("after five of them the breaker is open: %v, want %v", open, test.open)
				}
			})
		})
	}
	t.Run("as a probe", func(t *testing.T) {
		withFleet(t, 1, withBreaker, func(w *fleet) {
			w.fail(0, protocol.NewError(protocol.Unavailable, "no database"))
			w.sick(5)
			w.providers[0].refusal.Store(later)
			time.Sleep(time.Second)
			w.sick(1)
			if s := w.status(0); s.Breaker != client.BreakerClosed {
				t.Errorf("after a refusal, which is an answer, the breaker is %v", s.Breaker)
			}
		})
	})
}

func TestWhatTheCallerDoesDoesNotCount(t *testing.T) {
	withFleet(t, 2, withBreaker, func(w *fleet) {
		for range 100 {
			ctx, cancel := context.WithCancel(context.Background())
			call := w.client.Go(ctx, "Echo.Hang", &text{}, nil, nil)
			synctest.Wait()
			cancel()
			<-call.Done
			_ = w.client.Call(context.Background(), "Echo.Nothing", &text{}, nil)
			_ = w.client.Call(context.Background(), "nonsense", &text{}, nil)
		}
		for i := range w.providers {
			if s := w.status(i); s.Breaker != client.BreakerClosed {
				t.Errorf("the breaker of %s is %v", p(i), s.Breaker)
			}
		}
	})
}

// A provider that hangs costs the calls that were with it, and then no more.
func TestTimeoutsOpenABreaker(t *testing.T) {
	withFleet(t, 2, func(op *client.SGOption) {
		withBreaker(op)
		op.RequestTimeout = 100 * time.Millisecond
	}, func(w *fleet) {
		w.freeze(0)
		var wg sync.WaitGroup
		for range 60 {
			wg.Go(func() { _ = w.client.Call(context.Background(), "Echo.Say", &text{}, nil) })
		}
		wg.Wait()
		if s := w.status(0); s.Breaker != client.BreakerOpen {
			t.Errorf("the breaker is %v", s.Breaker)
		}
		if got := w.served(); got[0] != 0 {
			t.Errorf("served %v", got)
		}
		w.thaw(0)
	})
}

// How long a caller waits says nothing of a provider where nobody could have
// answered: what does is a deadline after 50 ms, or the client's own.
func TestWhichDeadlinesABreakerCounts(t *testing.T) {
	const rtt = 5 * ms
	asked := func(limit time.Duration) func(w *fleet) error {
		return func(w *fleet) error {
			ctx, cancel := context.WithTimeout(idempotent, limit)
			defer cancel()
			return w.client.Call(ctx, "Echo.Slow", &text{"200ms"}, nil)
		}
	}
	limited := func(change func(*client.SGOption)) func(*client.SGOption) {
		return func(op *client.SGOption) {
			withBreaker(op)
			change(op)
		}
	}
	for _, test := range []struct {
		name   string
		change func(*client.SGOption)
		call   func(w *fleet) error
		open   bool
	}{
		{"a caller without patience", withBreaker, asked(ms), false},
		{"with too little", withBreaker, asked(50*ms - 1), false},
		{"with enough", withBreaker, asked(50 * ms), true},
		{"a RequestTimeout", limited(func(op *client.SGOption) { op.RequestTimeout = 100 * ms }), asked(time.Second), true},
		{"one that is short for all", limited(func(op *client.SGOption) { op.RequestTimeout = 20 * ms }), asked(time.Second), true},
		{"and longer than the caller's", limited(func(op *client.SGOption) { op.RequestTimeout = 20 * ms }), asked(ms), false},
		{"an AttemptTimeout", limited(func(op *client.SGOption) { op.AttemptTimeout = 20 * ms }), asked(time.Second), true},
		{"what each attempt has of a RequestTimeout", limited(func(op *client.SGOption) {
			op.FailMode, op.RequestTimeout = client.FailOver, 60*ms
		}), asked(time.Second), true},
		{"what a wrapper leaves of one", limited(func(op *client.SGOption) {
			op.RequestTimeout, op.Wrappers = 200*ms, []client.Wrapper{dawdler(199 * ms)}
		}), asked(time.Second), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			withFleet(t, 2, test.change, func(w *fleet) {
				w.net.SetFaults(transport.BothWays(transport.MemPath{Latency: rtt / 2}))
				var wg sync.WaitGroup
				for range 60 {
					wg.Go(func() { _ = test.call(w) }) // late, or refused by a breaker
				}
				wg.Wait()
				for i := range w.providers {
					if open := w.status(i).Breaker != client.BreakerClosed; open != test.open {
						t.Errorf("the breaker of %s is %v, want open: %v", p(i), w.status(i).Breaker, test.open)
					}
				}
			})
		})
	}
}

// dawdler takes that long before it lets a call that is slow anyway go on.
type dawdler time.Duration

func (d dawdler) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		if serviceMethod == "Echo.Slow" {
			time.Sleep(time.Duration(d))
		}
		return next(ctx, serviceMethod, req, resp)
	}
}

// A connection takes its time, the more so where many are made at once.
func TestWaitsForADialOpenNoBreaker(t *testing.T) {
	for _, rtt := range []time.Duration{300 * ms, 90 * ms} { // beyond the call's time, and nearly all of it
		withFleet(t, 1, func(op *client.SGOption) {
			withBreaker(op)
			op.RequestTimeout = 100 * ms
		}, func(w *fleet) {
			w.net.SetFaults(transport.BothWays(transport.MemPath{Latency: rtt / 2}))
			w.net.CutAll()
			synctest.Wait()
			time.Sleep(time.Minute) // the pause before the next dial
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					err := w.client.Call(context.Background(), "Echo.Say", &text{}, nil)
					if protocol.CodeOf(err) != protocol.DeadlineExceeded {
						t.Errorf("at a round trip of %v: %v", rtt, err)
					}
				})
			}
			wg.Wait()
			if s := w.status(0); s.Breaker != client.BreakerClosed {
				t.Errorf("at a round trip of %v the breaker is %v", rtt, s.Breaker)
			}
		})
	}
}

// Who does not read keeps calls waiting on this side.
func TestWaitsForRoomOpenABreaker(t *testing.T) {
	withFleet(t, 1, func(op *client.SGOption) {
		withBreaker(op)
		op.RequestTimeout, op.MaxQueued = 100*ms, 1<<10
	}, func(w *fleet) {
		w.net.SetFaultsAt(p(0), transport.MemFaults{ToListener: transport.MemPath{Stall: true, Buffer: 1 << 10}})
		var unsent atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				err := w.client.Call(context.Background(), "Echo.Say", &text{strings.Repeat("a", 900)}, nil)
				if protocol.CodeOf(err) == protocol.DeadlineExceeded && protocol.OutcomeOf(err) == protocol.NotSent {
					unsent.Add(1)
				}
			})
		}
		wg.Wait()
		if s := w.status(0); s.Breaker != client.BreakerOpen || unsent.Load() < 16 {
			t.Errorf("after %d calls that were not sent the breaker is %v", unsent.Load(), s.Breaker)
		}
		w.thaw(0)
	})
}

// A call without patience may be the probe, and leaves that to the next if it learns
// nothing.
func TestAProbeWithoutPatience(t *testing.T) {
	withFleet(t, 1, withBreaker, func(w *fleet) {
		w.fail(0, protocol.NewError(protocol.Unavailable, "no database"))
		w.sick(5)
		time.Sleep(time.Second)
		for range 20 {
			ctx, cancel := context.WithTimeout(context.Background(), ms)
			wantError(t, w.client.Call(ctx, "Echo.Slow", &text{"1s"}, nil), protocol.DeadlineExceeded, protocol.MaybeRun, "")
			cancel()
		}
		say(t, w.client)
		if s := w.status(0); s.Breaker != client.BreakerClosed {
			t.Errorf("after a probe that was answered the breaker is %v", s.Breaker)
		}
	})
}

// Who cannot be reached is Failing, with pauses of its own: that opens no breaker.
func TestDialsThatFailOpenNoBreaker(t *testing.T) {
	withFleet(t, 2, withBreaker, func(w *fleet) {
		w.providers[0].stop()
		synctest.Wait()
		for range 100 {
			say(t, w.client)
			time.Sleep(10 * time.Millisecond)
		}
		if s := w.status(0); s.Breaker != client.BreakerClosed || s.State != client.Failing {
			t.Errorf("%v, breaker %v", s.State, s.Breaker)
		}
	})
}

// A provider that is gone while its breaker is open is no news with every call.
func TestProbesThatReachNobodyAreToldOnce(t *testing.T) {
	withFleet(t, 1, withBreaker, func(w *fleet) {
		w.fail(0, protocol.NewError(protocol.Unavailable, "no database"))
		w.sick(5)
		time.Sleep(time.Second)
		w.providers[0].stop()
		w.net.SetFaultsAt(p(0), transport.MemFaults{RefuseDials: true})
		synctest.Wait()
		before := len(w.changes(0))
		for range 100 { // within the pause before the next dial
			if err := w.client.Call(context.Background(), "Echo.Say", &text{}, nil); protocol.OutcomeOf(err) != protocol.NotSent {
				t.Fatal(err)
			}
		}
		if told := w.changes(0)[before:]; len(told) > 3 { // half-open, connecting, failing
			t.Errorf("told %d times: %q", len(told), told[:4])
		}
	})
}

// A probe that its caller took back costs the provider no further window.
func TestAProbeThatIsCancelledLeavesItsPlace(t *testing.T) {
	withFleet(t, 2, withBreaker, func(w *fleet) {
		w.fail(0, protocol.NewError(protocol.Unavailable, "no database"))
		w.sick(5)
		time.Sleep(time.Second)
		synctest.Wait()
		for probed := false; !probed; { // half of the calls go to the other provider
			ctx, cancel := context.WithCancel(context.Background())
			call := w.client.Go(ctx, "Echo.Hang", &text{}, nil, nil)
			synctest.Wait()
			probed = w.status(0).Breaker == client.BreakerHalfOpen
			list(t, w.registry, p(1), map[string]string{"a": "view"}) // that is made meanwhile
			synctest.Wait()
			cancel()
			<-call.Done
		}
		if got := w.served(); got[0] == 0 {
			t.Errorf("served %v", got)
		}
		if s := w.status(0); s.Breaker != client.BreakerClosed {
			t.Errorf("after a probe that was answered the breaker is %v", s.Breaker)
		}
	})
}

// A oneway that was written says nothing of whether it is served.
func TestAOnewayIsNoProbe(t *testing.T) {
	withFleet(t, 1, withBreaker, func(w *fleet) {
		w.fail(0, protocol.NewError(protocol.Unavailable, "no database"))
		w.sick(5)
		time.Sleep(time.Second)
		for range 3 {
			if err := w.client.Notify(context.Background(), "Echo.Say", &text{}); err != nil {
				t.Errorf("a oneway in place of a probe: %v", err)
			}
			if s := w.status(0); s.Breaker != client.BreakerHalfOpen {
				t.Errorf("after a oneway the breaker is %v", s.Breaker)
			}
		}
		say(t, w.client)
		if s := w.status(0); s.Breaker != client.BreakerClosed {
			t.Errorf("after a probe that was answered the breaker is %v", s.Breaker)
		}
	})
}

// lingering keeps each attempt for a while.
type lingering time.Duration

func (lingering) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc { return next }

func (l lingering) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	return func(ctx context.Context, a *client.Attempt) error {
		time.Sleep(time.Duration(l))
		return next(ctx, a)
	}
}

// Where there are none but oneways, none is kept out by another.
func TestOnewaysPassAHalfOpenBreakerSideBySide(t *testing.T) {
	withFleet(t, 1, func(op *client.SGOption) {
		withBreaker(op)
		op.Wrappers = []client.Wrapper{lingering(10 * time.Millisecond)}
	}, func(w *fleet) {
		w.fail(0, protocol.NewError(protocol.Unavailable, "no database"))
		w.sick(5)
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := w.client.Notify(context.Background(), "Echo.Say", &text{}); err != nil {
					t.Errorf("a oneway beside others: %v", err)
				}
			})
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		say(t, w.client)
		if s := w.status(0); s.Breaker != client.BreakerClosed {
			t.Errorf("after a call that was answered the breaker is %v", s.Breaker)
		}
	})
}

// A probe that is under way keeps no oneway out, and is not decided by any.
func TestOnewaysPassBesideAProbe(t *testing.T) {
	withFleet(t, 1, withBreaker, func(w *fleet) {
		end := make(chan struct{})
		w.providers[0].handle("Echo.Stay", func(context.Context, *text) (*text, error) {
			<-end
			return &text{}, nil
		})
		w.fail(0, protocol.NewError(protocol.Unavailable, "no database"))
		w.sick(5)
		time.Sleep(time.Second)
		probe := w.client.Go(context.Background(), "Echo.Stay", &text{}, nil, nil)
		synctest.Wait()
		for range 3 {
			if err := w.client.Notify(context.Background(), "Echo.Say", &text{}); err != nil {
				t.Errorf("a oneway beside a probe: %v", err)
			}
		}
		if err := w.client.Call(context.Background(), "Echo.Say", &text{}, nil); err == nil {
			t.Error("a call passed beside the probe")
		}
		if s := w.status(0); s.Breaker != client.BreakerHalfOpen {
			t.Errorf("during the probe the breaker is %v", s.Breaker)
		}
		close(end)
		if <-probe.Done; probe.Error != nil {
			t.Error(probe.Error)
		}
		if s := w.status(0); s.Breaker != client.BreakerClosed {
			t.Errorf("after the probe the breaker is %v", s.Breaker)
		}
	})
}

// Another instance is not kept waiting for what the one before did.
func TestABreakerForgetsARestartedProvider(t *testing.T) {
	withFleet(t, 1, withBreaker, func(w *fleet) {
		entry := w.status(0).Provider
		for range 2 {
			entry.Started = time.Now()
			if err := w.registry.Register(context.Background(), registry.RegisterOption{}, entry); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if s := w.status(0); s.Breaker != client.BreakerClosed {
				t.Errorf("the breaker of a new instance is %v", s.Breaker)
			}
			say(t, w.client)
			w.freeze(0)
			for range 5 {
				_ = w.client.Call(context.Background(), "Echo.Say", &text{}, nil)
				time.Sleep(time.Millisecond)
			}
			w.thaw(0)
			time.Sleep(10 * time.Second)
		}
	})
}

// Whatever comes at once, calls fail only as they may.
func TestBreakersAndHeartbeatsUnderFire(t *testing.T) {
	withFleet(t, 4, func(op *client.SGOption) {
		withBreaker(op)
		op.Heartbeat, op.RequestTimeout = true, 50*time.Millisecond
	}, func(w *fleet) {
		var wg sync.WaitGroup
		end := time.Now().Add(20 * time.Second)
		var answered, failed atomic.Int64
		for range 20 {
			wg.Go(func() {
				for time.Now().Before(end) {
					err := w.client.Call(context.Background(), "Echo.Say", &text{"hello"}, nil)
					switch protocol.CodeOf(err) {
					case protocol.OK:
						answered.Add(1)
					case protocol.DeadlineExceeded, protocol.Unavailable:
						failed.Add(1)
					default:
						t.Errorf("a call failed with %v", err)
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		for round := 0; time.Now().Before(end.Add(-5 * time.Second)); round++ {
			switch i := round % 4; round % 3 {
			case 0:
				w.freeze(i)
				time.Sleep(4 * time.Second)
				w.thaw(i)
			case 1:
				w.net.Cut(p(i))
				time.Sleep(100 * time.Millisecond)
			case 2:
				w.net.SetFaultsAt(p(i), transport.MemFaults{RefuseDials: true})
				w.net.Cut(p(i))
				time.Sleep(time.Second)
				w.thaw(i)
			}
		}
		wg.Wait()
		time.Sleep(10 * time.Second)
		if got := w.served(); slices.Contains(got, 0) {
			t.Errorf("when all was over: %v", got)
		}
		if f, a := failed.Load(), answered.Load(); f*20 > a {
			t.Errorf("%d calls failed and %d were answered", f, a)
		}
	})
}
