package wrapper_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
)

// Moods is a service whose method does what it is told to.
type Moods struct {
	mu  sync.Mutex
	err error // guarded by mu
	ran int   // guarded by mu
}

func (m *Moods) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err, m.ran = err, 0
}

func (m *Moods) runs() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ran
}

func (m *Moods) Show(context.Context, *Word, *Word) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ran++
	return m.err
}

// Wait takes 200 ms, or as long as its caller does.
func (m *Moods) Wait(ctx context.Context, _, _ *Word) error {
	pause := time.NewTimer(200 * time.Millisecond)
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Plod takes 60 ms, whatever its caller does.
func (m *Moods) Plod(context.Context, *Word, *Word) error {
	time.Sleep(60 * time.Millisecond)
	return nil
}

// Spill panics while the mood is bad.
func (m *Moods) Spill(context.Context, *Word, *Word) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		panic("spilt ink")
	}
	return nil
}

// moody is a server of Moods behind b, and a client of it.
func moody(t *testing.T, b *wrapper.Breaker) (*Moods, client.RPCClient) {
	t.Helper()
	network, moods := transport.NewMemNetwork(), new(Moods)
	s, err := server.NewSGServer(&server.Option{Wrappers: []server.Wrapper{b}, Mem: network})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(moods); err != nil {
		t.Fatal(err)
	}
	serveWords(t, s)
	return moods, clientOf(t, network, "")
}

func show(ctx context.Context, c client.RPCClient, method string) error {
	return c.Call(ctx, "Moods."+method, &Word{}, nil)
}

func TestABreakerOpensProbesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []string
		b := &wrapper.Breaker{Threshold: 3, Window: time.Second, OnChange: func(method string, state wrapper.BreakerState) {
			changes = append(changes, method+" "+state.String())
		}}
		moods, c := moody(t, b)
		ctx := t.Context()
		moods.set(protocol.NewError(protocol.Unavailable, "no database"))
		for range 3 {
			wantError(t, show(ctx, c, "Show"), protocol.Unavailable, protocol.Ran, 0)
		}
		wantError(t, show(ctx, c, "Show"), protocol.Unavailable, protocol.Refused, time.Second)
		if err := show(ctx, c, "Spill"); protocol.CodeOf(err) != protocol.Internal {
			t.Errorf("another method: %v", err)
		}
		time.Sleep(time.Second - time.Millisecond)
		err := show(ctx, c, "Show")
		wantError(t, err, protocol.Unavailable, protocol.Refused, time.Millisecond)
		var e *protocol.Error
		if errors.As(err, &e) && !e.Elsewhere {
			t.Errorf("%+v does not say that others may do better", e)
		}
		if n := moods.runs(); n != 3 {
			t.Errorf("the method ran %d times", n)
		}

		time.Sleep(time.Millisecond)
		wantError(t, show(ctx, c, "Show"), protocol.Unavailable, protocol.Ran, 0) // a probe that fails
		wantError(t, show(ctx, c, "Show"), protocol.Unavailable, protocol.Refused, time.Second)
		moods.set(nil)
		time.Sleep(time.Second)
		for range 5 { // a probe that succeeds, and who comes after it
			if err := show(ctx, c, "Show"); err != nil {
				t.Error(err)
			}
		}
		want := []string{
			"Moods.Show open", "Moods.Show half-open", "Moods.Show open", "Moods.Show half-open", "Moods.Show closed",
		}
		if !slices.Equal(changes, want) {
			t.Errorf("changes %q, want %q", changes, want)
		}
		if states := b.States(); len(states) != 2 || states["Moods.Show"] != wrapper.BreakerClosed {
			t.Errorf("states %v", states)
		}
	})
}

func TestOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		collect(t, slog.LevelError)
		b := &wrapper.Breaker{Threshold: 1, Failure: func(err error, _ time.Duration) bool { return err != nil }}
		_, c := moody(t, b)
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_ = show(short, c, "Wait") // too slow for its caller
		synctest.Wait()
		time.Sleep(time.Second)
		probe := c.Go(t.Context(), "Moods.Wait", &Word{}, nil, nil)
		synctest.Wait()
		if state := b.States()["Moods.Wait"]; state != wrapper.BreakerHalfOpen {
			t.Errorf("during the probe it is %v", state)
		}
		wantError(t, show(t.Context(), c, "Wait"), protocol.Unavailable, protocol.Refused, time.Second)
		if (<-probe.Done).Error != nil {
			t.Error(probe.Error)
		}
		if err := show(t.Context(), c, "Wait"); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatCountsAsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		collect(t, slog.LevelError+1)
		for name, test := range map[string]struct {
			method  string
			mood    error
			timeout time.Duration // of the caller
			opens   bool
		}{
			"a dependency is away":              {"Show", protocol.NewError(protocol.Unavailable, ""), time.Second, true},
			"a panic":                           {"Spill", errors.New("bad"), time.Second, true},
			"a deadline that was fair":          {"Wait", nil, 100 * time.Millisecond, true},
			"a deadline that was not":           {"Wait", nil, 10 * time.Millisecond, false},
			"a plain error":                     {"Show", errors.New("no such order"), time.Second, false},
			"a caller's mistake":                {"Show", protocol.NewError(protocol.InvalidArgument, ""), time.Second, false},
			"a limit within":                    {"Show", protocol.NewError(protocol.ResourceExhausted, ""), time.Second, false},
			"a deadline of another's, at once":  {"Show", context.DeadlineExceeded, time.Second, false},
			"none, and none":                    {"Show", nil, time.Second, false},
			"an answer that came just in time":  {"Wait", nil, 201 * time.Millisecond, false},
			"a wrapped error of a dependency's": {"Show", errors.Join(errors.New("orders"), protocol.NewError(protocol.Unavailable, "")), time.Second, true},
		} {
			b := &wrapper.Breaker{Threshold: 2}
			moods, c := moody(t, b)
			moods.set(test.mood)
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
				_ = show(ctx, c, test.method)
				cancel()
				synctest.Wait()
			}
			if open := b.States()["Moods."+test.method] == wrapper.BreakerOpen; open != test.opens {
				t.Errorf("%s: open %v", name, open)
			}
		}
	})
}

// A method that does not heed its context runs longer than its caller waits.
func TestADeadlineCountsByWhatItGave(t *testing.T) {
	for _, test := range []struct {
		deadline time.Duration
		opens    bool
	}{
		{10 * time.Millisecond, false},
		{49 * time.Millisecond, false},
		{50 * time.Millisecond, true},
		{59 * time.Millisecond, true},
		{61 * time.Millisecond, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			collect(t, slog.LevelError)
			b := &wrapper.Breaker{Threshold: 2, Window: time.Minute}
			_, c := moody(t, b)
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
				_ = show(ctx, c, "Plod")
				cancel()
				time.Sleep(100 * time.Millisecond) // until it has ended
			}
			if open := b.States()["Moods.Plod"] == wrapper.BreakerOpen; open != test.opens {
				t.Errorf("a deadline of %v: open %v", test.deadline, open)
			}
		})
	}
}

func TestACallThatItsCallerCancelledTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &wrapper.Breaker{Threshold: 1, Failure: func(error, time.Duration) bool { return true }}
		_, c := moody(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		_ = show(ctx, c, "Wait")
		synctest.Wait()
		if states := b.States(); states["Moods.Wait"] != wrapper.BreakerClosed {
			t.Errorf("states %v", states)
		}
	})
}

// Of a probe that was not let in nothing is learnt: the next request probes.
func TestAProbeThatALimitRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		collect(t, slog.LevelError)
		b := &wrapper.Breaker{Threshold: 1}
		moods, c := moody(t, b)
		for _, test := range []struct {
			mood protocol.Code
			want wrapper.BreakerState
		}{{protocol.Unavailable, wrapper.BreakerOpen}, {protocol.ResourceExhausted, wrapper.BreakerHalfOpen}} {
			moods.set(protocol.NewError(test.mood, ""))
			_ = show(t.Context(), c, "Show")
			if state := b.States()["Moods.Show"]; state != test.want {
				t.Errorf("after %v it is %v", test.mood, state)
			}
			time.Sleep(time.Second)
		}
		moods.set(nil)
		if err := show(t.Context(), c, "Show"); err != nil || b.States()["Moods.Show"] != wrapper.BreakerClosed {
			t.Errorf("%v, states %v", err, b.States())
		}
	})
}

func TestABreakerThatIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		moods, c := moody(t, &wrapper.Breaker{Threshold: -1})
		moods.set(protocol.NewError(protocol.Internal, ""))
		for range 100 {
			wantError(t, show(t.Context(), c, "Show"), protocol.Internal, protocol.Ran, 0)
		}
	})
}

func TestABreakerLogsAnOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := collect(t, slog.LevelInfo)
		moods, c := moody(t, &wrapper.Breaker{Threshold: 1})
		moods.set(protocol.NewError(protocol.Unavailable, ""))
		_ = show(t.Context(), c, "Show")
		_ = show(t.Context(), c, "Show")
		moods.set(nil)
		time.Sleep(time.Second)
		_ = show(t.Context(), c, "Show")
		if n := strings.Count(out.String(), "Moods.Show"); n != 2 {
			t.Errorf("%d lines:\n%s", n, out)
		}
	})
}

func TestAClosedBreakerAllocatesNothing(t *testing.T) {
	b := &wrapper.Breaker{}
	ctx, req := context.Background(), &protocol.Message{Header: protocol.Header{ServiceName: "Moods", MethodName: "Show"}}
	next := b.WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error { return nil })
	if allocs := testing.AllocsPerRun(100, func() {
		_ = b.Admit(ctx, &req.Header, 0)
		_ = next(ctx, req, nil)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
