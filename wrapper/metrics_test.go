package wrapper_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/wrapper"
)

// tally is a Recorder that remembers what it was told.
type tally struct {
	inFlight [wrapper.Kinds]atomic.Int64

	mu sync.Mutex
	// Guarded by mu:
	count map[string]int // "kind Service.Method@provider code"
	took  time.Duration  // of the last
	asked map[wrapper.Series]bool
}

func newTally() *tally {
	return &tally{count: map[string]int{}, asked: map[wrapper.Series]bool{}}
}

func (t *tally) InFlight(k wrapper.Kind, change int) { t.inFlight[k].Add(int64(change)) }

func (t *tally) Meter(s wrapper.Series) wrapper.Meter {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked[s] = true
	return tallied{t, s}
}

type tallied struct {
	*tally
	series wrapper.Series
}

func (t tallied) Measured(code protocol.Code, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := fmt.Sprintf("%v %s.%s", t.series.Kind, t.series.Service, t.series.Method)
	if t.series.Provider != "" {
		name += "@" + t.series.Provider
	}
	t.count[fmt.Sprintf("%s %v", name, code)]++
	t.took = took
}

// want waits for the server's side, whose end comes after the answer.
func (t *tally) want(tt *testing.T, want map[string]int) {
	tt.Helper()
	synctest.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !maps.Equal(t.count, want) {
		tt.Errorf("counted %v, want %v", t.count, want)
	}
	if len(t.asked) > len(want) {
		tt.Errorf("Meter was asked for %d series: %v", len(t.asked), t.asked)
	}
	for k := range wrapper.Kinds {
		if n := t.inFlight[k].Load(); n != 0 {
			tt.Errorf("%d of kind %v in flight after all", n, wrapper.Kind(k))
		}
	}
}

func TestMetricsOfBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		onServer, onClient := newTally(), newTally()
		c := pair(t,
			[]server.Wrapper{&wrapper.Metrics{Recorder: onServer}},
			[]client.Wrapper{&wrapper.Metrics{Recorder: onClient}, &wrapper.AttemptMetrics{Recorder: onClient, PerProvider: true}})
		for range 3 {
			_, _ = call(c, t.Context(), "Meta", "x")
		}
		_, _ = call(c, t.Context(), "Fail", "x")
		_, _ = call(c, t.Context(), "Panic", "x")
		_, _ = call(c, t.Context(), "Nothing", "x")
		onServer.want(t, map[string]int{
			"request Words.Meta OK": 3, "request Words.Fail Unknown": 1, "request Words.Panic Internal": 1,
		})
		onClient.want(t, map[string]int{
			"call Words.Meta OK": 3, "call Words.Fail Unknown": 1, "call Words.Panic Internal": 1, "call other.other Unimplemented": 1,
			"attempt Words.Meta@mem@words OK": 3, "attempt Words.Fail@mem@words Unknown": 1, "attempt Words.Panic@mem@words Internal": 1,
			"attempt other.other@other Unimplemented": 1,
		})
	})
}

func TestMetricsTakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTally()
		next := (&wrapper.Metrics{Recorder: r}).WrapCall(nil, func(context.Context, string, any, any) error {
			if n := r.inFlight[wrapper.Call].Load(); n != 1 {
				t.Errorf("%d in flight during a call", n)
			}
			time.Sleep(42 * time.Millisecond)
			return nil
		})
		if err := next(t.Context(), "A.B", nil, nil); err != nil {
			t.Fatal(err)
		}
		if r.took != 42*time.Millisecond {
			t.Errorf("took %v", r.took)
		}
	})
}

// A panic of what it wraps is measured and goes on.
func TestMetricsOfAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTally()
		next := (&wrapper.Metrics{Recorder: r}).WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error {
			panic("spilt ink")
		})
		func() {
			defer func() {
				if p := recover(); p != "spilt ink" {
					t.Errorf("recovered %v", p)
				}
			}()
			_ = next(t.Context(), &protocol.Message{Header: protocol.Header{ServiceName: "A", MethodName: "B"}}, &protocol.Message{})
		}()
		r.want(t, map[string]int{"request A.B Internal": 1})
	})
}

// Callers that call a thousand names that do not exist make one series, and more
// methods than the bound make one more.
func TestMetricsStayFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTally()
		unknown := protocol.NewError(protocol.Unimplemented, "no such method").WithOutcome(protocol.Refused)
		next := (&wrapper.Metrics{Recorder: r, MaxSeries: 2}).WrapCall(nil, func(_ context.Context, name string, _, _ any) error {
			if name[0] == 'X' {
				return unknown
			}
			return nil
		})
		for i := range 1000 {
			_ = next(t.Context(), fmt.Sprintf("X.M%d", i), nil, nil)
		}
		for i := range 10 {
			_ = next(t.Context(), fmt.Sprintf("A.M%d", i), nil, nil)
		}
		_ = next(t.Context(), "A.M1", nil, nil)
		r.want(t, map[string]int{
			"call other.other Unimplemented": 1000, "call other.other OK": 8, "call A.M0 OK": 1, "call A.M1 OK": 2,
		})
	})
}

// What nobody answers for has no series, though it ends well: anybody may send
// oneways of a thousand names.
func TestMetricsOfOneways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTally()
		next := (&wrapper.Metrics{Recorder: r, MaxSeries: 2}).WrapCall(nil, func(context.Context, string, any, any) error { return nil })
		for i := range 1000 {
			_ = next(t.Context(), fmt.Sprintf("X.M%d", i), nil, client.Oneway)
		}
		_ = next(t.Context(), "A.M", nil, nil)
		_ = next(t.Context(), "A.M", nil, client.Oneway)
		r.want(t, map[string]int{"call other.other OK": 1000, "call A.M OK": 2})
	})
}

// A oneway that its provider knows nothing of, as a gateway passes it on.
func TestMetricsOfOnewaysThatNobodyKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTally()
		c := pair(t, nil, []client.Wrapper{&wrapper.Metrics{Recorder: r}, &wrapper.AttemptMetrics{Recorder: r, PerProvider: true}})
		for i := range 3 {
			if err := c.Notify(t.Context(), fmt.Sprintf("X.M%d", i), &Word{}); err != nil {
				t.Fatal(err)
			}
		}
		r.want(t, map[string]int{"call other.other OK": 3, "attempt other.other@other OK": 3})
	})
}

// What FailSafe swallows is OK for the caller, and makes no name known.
func TestMetricsOfAFailSafeClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTally()
		_, network := serve(t, server.Option{})
		listed := memory.NewRegistry("")
		if err := listed.Register(t.Context(), registry.RegisterOption{}, registry.Provider{Network: "mem", Addr: "words"}); err != nil {
			t.Fatal(err)
		}
		c, err := client.NewSGClient(client.SGOption{
			Option: client.Option{Mem: network, Wrappers: []client.Wrapper{
				&wrapper.Metrics{Recorder: r}, &wrapper.Metrics{Recorder: r}, &wrapper.AttemptMetrics{Recorder: r},
			}},
			FailMode: client.FailSafe,
			Registry: listed,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i := range 3 {
			_ = c.Call(t.Context(), fmt.Sprintf("X.M%d", i), &Word{}, &Word{})
			_ = c.Notify(t.Context(), fmt.Sprintf("X.M%d", i), &Word{})
			_ = c.Call(t.Context(), "Words.Meta", &Word{}, &Word{})
			_ = c.Call(t.Context(), "Words.Fail", &Word{}, &Word{})
		}
		r.want(t, map[string]int{
			"call other.other OK": 12, "call Words.Meta OK": 6, "call Words.Fail OK": 6,
			"attempt other.other Unimplemented": 3, "attempt other.other OK": 3,
			"attempt Words.Meta OK": 3, "attempt Words.Fail Unknown": 3,
		})
	})
}

// The first calls of many methods at one time lose no count.
func TestMetricsConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTally()
		next := (&wrapper.Metrics{Recorder: r}).WrapCall(nil, func(context.Context, string, any, any) error { return nil })
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 100 {
					_ = next(t.Context(), fmt.Sprintf("A.M%d", i%10), nil, nil)
				}
			})
		}
		wg.Wait()
		want := map[string]int{}
		for i := range 10 {
			want[fmt.Sprintf("call A.M%d OK", i)] = 80
		}
		r.want(t, want)
	})
}

// mute is a Recorder that keeps nothing.
type mute struct{}

func (mute) InFlight(wrapper.Kind, int)            {}
func (mute) Meter(wrapper.Series) wrapper.Meter    { return mute{} }
func (mute) Measured(protocol.Code, time.Duration) {}

func TestMetricsAllocateNothing(t *testing.T) {
	m := &wrapper.Metrics{Recorder: mute{}}
	ctx := context.Background()
	call := m.WrapCall(nil, func(context.Context, string, any, any) error { return nil })
	if allocs := testing.AllocsPerRun(100, func() { _ = call(ctx, "A.B", nil, nil) }); allocs != 0 {
		t.Errorf("%v allocations for a call", allocs)
	}
	safe := m.WrapCall(&client.SGOption{FailMode: client.FailSafe}, func(context.Context, string, any, any) error { return nil })
	if allocs := testing.AllocsPerRun(100, func() { _ = safe(ctx, "A.B", nil, nil) }); allocs != 0 {
		t.Errorf("%v allocations for a call of a FailSafe client", allocs)
	}
	handle := m.WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error { return nil })
	req, res := &protocol.Message{Header: protocol.Header{ServiceName: "A", MethodName: "B"}}, &protocol.Message{}
	if allocs := testing.AllocsPerRun(100, func() { _ = handle(ctx, req, res) }); allocs != 0 {
		t.Errorf("%v allocations for a request", allocs)
	}
	attempt := (&wrapper.AttemptMetrics{Recorder: mute{}, PerProvider: true}).WrapAttempt(nil, func(context.Context, *client.Attempt) error { return nil })
	a := &client.Attempt{ServiceMethod: "A.B"}
	if allocs := testing.AllocsPerRun(100, func() { _ = attempt(ctx, a) }); allocs != 0 {
		t.Errorf("%v allocations for an attempt", allocs)
	}
}
