package breaker_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/breaker"
)

const (
	threshold = 5
	window    = time.Second
)

// call asks for permission and reports r. It tells whether it got it.
func call(b *breaker.Breaker, r breaker.Result) bool {
	p, ok := b.Allow()
	if ok {
		b.Report(p, r)
	}
	return ok
}

func wantState(t *testing.T, b *breaker.Breaker, want breaker.State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Errorf("the breaker is %v, want %v", got, want)
	}
}

func TestFailuresWithinTheWindowOpen(t *testing.T) {
	for _, test := range []struct {
		name  string
		every time.Duration // between two failures
		count int
		want  breaker.State
	}{
		{"one too few", 0, threshold - 1, breaker.Closed},
		{"all at once", 0, threshold, breaker.Open},
		{"just within the window", window/(threshold-1) - 1, threshold, breaker.Open},
		{"the first just too old", window / (threshold - 1), threshold, breaker.Closed},
		{"never enough in one window", window / (threshold - 1), 100, breaker.Closed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New(breaker.Settings{Threshold: threshold, Window: window})
				for i := range test.count {
					if i > 0 {
						time.Sleep(test.every)
					}
					if !call(b, breaker.Failure) {
						t.Fatalf("call %d was refused", i)
					}
				}
				wantState(t, b, test.want)
			})
		})
	}
}

// The window slides: what counts is any Threshold failures in a row that lie
// within it, wherever they begin, and successes between them do not matter.
func TestTheWindowSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{Threshold: threshold, Window: window})
		call(b, breaker.Failure)
		time.Sleep(900 * time.Millisecond)
		for range threshold - 2 {
			call(b, breaker.Failure)
			call(b, breaker.Success)
			call(b, breaker.Ignored)
		}
		time.Sleep(200 * time.Millisecond) // the first is forgotten
		call(b, breaker.Failure)
		wantState(t, b, breaker.Closed)
		call(b, breaker.Failure)
		wantState(t, b, breaker.Open)
	})
}

func opened(s breaker.Settings) *breaker.Breaker {
	s.Threshold, s.Window = threshold, window
	b := breaker.New(s)
	for range threshold {
		call(b, breaker.Failure)
	}
	return b
}

func TestOneProbeDecides(t *testing.T) {
	for _, test := range []struct {
		result breaker.Result
		want   breaker.State
		after  time.Duration // until the next call may pass
	}{
		{breaker.Success, breaker.Closed, 0},
		{breaker.Failure, breaker.Open, window},
		{breaker.Ignored, breaker.HalfOpen, 0},
	} {
		t.Run(fmt.Sprint(test.want, " after ", test.after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := opened(breaker.Settings{})
				if at := b.RetryAt(); !at.Equal(time.Now().Add(window)) {
					t.Errorf("the next call may pass at %v, want %v", at, time.Now().Add(window))
				}
				time.Sleep(window - 1)
				if b.Ready() || call(b, breaker.Success) {
					t.Error("a call passed before the window was over")
				}
				time.Sleep(time.Nanosecond)
				if !b.Ready() {
					t.Error("not ready when the window was over")
				}
				wantState(t, b, breaker.Open)
				probe, ok := b.Allow()
				if !ok {
					t.Fatal("the probe was refused")
				}
				wantState(t, b, breaker.HalfOpen)
				time.Sleep(window / 2)
				if b.Ready() || call(b, breaker.Success) {
					t.Error("a second call passed beside the probe")
				}
				b.Report(probe, test.result)
				wantState(t, b, test.want)
				if test.after > 0 {
					time.Sleep(test.after - 1)
					if call(b, breaker.Success) {
						t.Errorf("a call passed within %v of the probe's failure", test.after)
					}
					time.Sleep(time.Nanosecond)
				}
				if !call(b, breaker.Success) {
					t.Error("the next call was refused")
				}
				wantState(t, b, breaker.Closed)
			})
		})
	}
}

// What began before a change of state tells of the time before.
func TestResultsOfAnOlderGenerationCountForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{Threshold: threshold, Window: window})
		var early []breaker.Pass
		for range 2 * threshold {
			p, _ := b.Allow()
			early = append(early, p)
		}
		for _, p := range early[:threshold] {
			b.Report(p, breaker.Failure)
		}
		wantState(t, b, breaker.Open)
		time.Sleep(window)
		probe, _ := b.Allow()
		b.Report(early[threshold], breaker.Success)
		b.Report(early[threshold], breaker.Failure)
		wantState(t, b, breaker.HalfOpen)
		b.Report(probe, breaker.Success)
		for range 2 {
			for _, p := range append(early, probe, breaker.Pass{}) {
				b.Report(p, breaker.Failure)
			}
		}
		wantState(t, b, breaker.Closed)
		for range threshold - 1 {
			call(b, breaker.Failure)
		}
		wantState(t, b, breaker.Closed) // what opened it is forgotten
		call(b, breaker.Failure)
		wantState(t, b, breaker.Open)
	})
}

// A probe that is slow, or whose caller has lost it, keeps nobody out for ever,
// and its late result is still the first that is known.
func TestALateProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(breaker.Settings{})
		time.Sleep(window)
		slow, _ := b.Allow()
		time.Sleep(window)
		second, ok := b.Allow()
		if !ok {
			t.Fatal("no second probe a window after the first")
		}
		if call(b, breaker.Success) {
			t.Error("a third call passed beside the second probe")
		}
		b.Report(slow, breaker.Success)
		wantState(t, b, breaker.Closed)
		b.Report(second, breaker.Failure)
		wantState(t, b, breaker.Closed)
	})
}

// callBeside is call for one whose success tells nothing.
func callBeside(b *breaker.Breaker, r breaker.Result) bool {
	p, ok := b.AllowBeside()
	if ok {
		b.Report(p, r)
	}
	return ok
}

func TestCallsThatTellNothingPassBesideTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(breaker.Settings{})
		time.Sleep(window - 1)
		if callBeside(b, breaker.Ignored) {
			t.Error("a call passed before the window was over")
		}
		time.Sleep(time.Nanosecond)
		for range 2 { // at one time
			if _, ok := b.AllowBeside(); !ok {
				t.Error("a call was refused when the window was over")
			}
		}
		wantState(t, b, breaker.HalfOpen)
		probe, ok := b.Allow()
		if !ok {
			t.Fatal("the probe was refused beside calls that tell nothing")
		}
		if !callBeside(b, breaker.Ignored) {
			t.Error("a call that tells nothing was refused beside the probe")
		}
		if call(b, breaker.Success) {
			t.Error("a call that tells nothing has given away the probe's place")
		}
		b.Report(probe, breaker.Success)
		wantState(t, b, breaker.Closed)
	})
}

func TestAFailureBesideTheProbeOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(breaker.Settings{})
		time.Sleep(window)
		callBeside(b, breaker.Failure)
		wantState(t, b, breaker.Open)
		if callBeside(b, breaker.Ignored) {
			t.Error("a call passed within the window after that")
		}
		b.Reset()
		for range threshold - 1 {
			callBeside(b, breaker.Failure)
		}
		wantState(t, b, breaker.Closed)
		callBeside(b, breaker.Failure)
		wantState(t, b, breaker.Open)
	})
}

func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(breaker.Settings{})
		b.Reset()
		wantState(t, b, breaker.Closed)
		if at := b.RetryAt(); !at.IsZero() {
			t.Errorf("a closed breaker tells to come back at %v", at)
		}
		for range threshold - 1 {
			call(b, breaker.Failure)
		}
		b.Reset()
		call(b, breaker.Failure)
		wantState(t, b, breaker.Closed)
	})
}

func TestChangesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *breaker.Breaker
		var told []string
		begun := time.Now()
		b = opened(breaker.Settings{OnChange: func(c breaker.Change) {
			retry := "never"
			if !c.RetryAt.IsZero() {
				retry = c.RetryAt.Sub(begun).String()
			}
			told = append(told, fmt.Sprintf("%d: %v to %v, retry %s", c.Generation, c.From, c.To, retry))
			if b != nil {
				b.Ready() // no lock is held
				b.Report(breaker.Pass{}, breaker.Failure)
			}
		}})
		time.Sleep(window)
		call(b, breaker.Failure)
		time.Sleep(window)
		for range 10 { // no news
			call(b, breaker.Ignored)
		}
		call(b, breaker.Success)
		b.Reset()
		want := []string{
			"2: closed to open, retry 1s",
			"3: open to half-open, retry never",
			"4: half-open to open, retry 2s",
			"5: open to half-open, retry never",
			"6: half-open to closed, retry never",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told\n%q\nwant\n%q", told, want)
		}
	})
}

func TestSettingsBelowTheLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{})
		call(b, breaker.Failure)
		wantState(t, b, breaker.Open)
		time.Sleep(time.Nanosecond)
		call(b, breaker.Success)
		wantState(t, b, breaker.Closed)
		forever := breaker.New(breaker.Settings{Window: 1<<63 - 1})
		time.Sleep(time.Hour)
		call(forever, breaker.Failure)
		if forever.Ready() {
			t.Error("the longest window has overflowed")
		}
	})
}

// Whatever runs beside each other, no second probe passes within a window of
// the first, and each change has a generation of its own.
func TestProbesRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var generations sync.Map
		var changes atomic.Int64
		b := opened(breaker.Settings{OnChange: func(c breaker.Change) {
			changes.Add(1)
			if _, twice := generations.LoadOrStore(c.Generation, true); twice {
				t.Errorf("generation %d twice", c.Generation)
			}
		}})
		for round := range 50 {
			time.Sleep(window)
			var probes atomic.Int64
			var callers sync.WaitGroup
			for range 20 {
				callers.Go(func() {
					p, ok := b.Allow()
					if !ok {
						return
					}
					probes.Add(1)
					time.Sleep(window / 2)
					b.Report(p, breaker.Failure)
				})
			}
			callers.Wait()
			if n := probes.Load(); n != 1 {
				t.Fatalf("round %d: %d probes at one time", round, n)
			}
		}
		if n := changes.Load(); n != 101 {
			t.Errorf("%d changes, want 1 and 2 for each of 50 probes", n)
		}
	})
}

func TestEverythingAtOnce(t *testing.T) {
	b := breaker.New(breaker.Settings{Threshold: 3, Window: 50 * time.Microsecond, OnChange: func(breaker.Change) {}})
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for n := range 5000 {
				call(b, breaker.Result((n+i)%3))
				b.State()
				b.RetryAt()
				if n%1000 == 0 {
					b.Reset()
				}
			}
		})
	}
	callers.Wait()
	b.Reset()
	if !call(b, breaker.Success) {
		t.Error("a closed breaker refuses")
	}
}

func TestAllowAndReportAllocateNothing(t *testing.T) {
	for _, result := range []breaker.Result{breaker.Success, breaker.Failure, breaker.Ignored} {
		b := breaker.New(breaker.Settings{Threshold: 3, Window: 1, OnChange: func(breaker.Change) {}})
		if n := testing.AllocsPerRun(1000, func() { call(b, result) }); n != 0 {
			t.Errorf("a call that reports %d allocates %v times", result, n)
		}
	}
}

func TestStatesHaveNames(t *testing.T) {
	for s, want := range map[breaker.State]string{
		breaker.Closed: "closed", breaker.Open: "open", breaker.HalfOpen: "half-open", 3: "unknown",
	} {
		if s.String() != want {
			t.Errorf("State(%d) is %q, want %q", uint8(s), s, want)
		}
	}
}

func BenchmarkClosed(b *testing.B) {
	guard := breaker.New(breaker.Settings{Threshold: 20, Window: time.Second})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			call(guard, breaker.Success)
		}
	})
}
