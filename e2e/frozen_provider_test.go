package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/e2e/internal/process"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
)

// What is asked of a governed client when one of its three providers goes.
const (
	frozenCallers  = 200
	frozenPause    = 50 * time.Millisecond // of each caller between two calls
	frozenInterval = time.Second           // of heartbeats
	settledAfter   = 3 * time.Second
)

// One of three providers stops without a word for ten seconds, or is killed and
// started again, under 200 callers: no call fails, the others are as fast as
// before soon, and it serves again within two intervals of its return.
func TestAProviderThatGoesAndComesBackCostsNoCall(t *testing.T) {
	if raceEnabled {
		t.Skip("an attempt has 100 ms, which the race detector may need itself: make outages-all runs this without")
	}
	gone := 10 * time.Second
	if testing.Short() {
		gone = settledAfter + 2*time.Second
	}
	program := process.Build(t, "./internal/echoserver")
	for _, test := range []struct {
		name       string
		goes, back func(*afflicted)
	}{
		{"SIGSTOP and SIGCONT",
			func(g *afflicted) { g.victim.Stop() },
			func(g *afflicted) { g.victim.Continue() }},
		{"SIGKILL and a restart",
			func(g *afflicted) { g.victim.Kill() },
			func(g *afflicted) {
				g.victim = program.Start(g, "-addr", g.addr)
				g.list(g.addr)
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newAfflicted(t, program)
			for _, wrong := range g.play(gone, test.goes, test.back) {
				t.Errorf("%s (a bare timer was %v late at most)", wrong, g.latest)
			}
		})
	}
}

// play has the victim go and come back, and returns what was not as it should be.
func (g *afflicted) play(gone time.Duration, goes, back func(*afflicted)) (wrong []string) {
	g.Helper()
	time.Sleep(settledAfter) // connections, caches, and calls for the retry budget to be a part of
	before, _ := g.over(gone / 2)

	goes(g)
	went := time.Now()
	time.Sleep(settledAfter)
	during, late := g.over(gone - settledAfter)
	g.back.Store(nil)
	back(g)
	returned := time.Now()
	g.until("the provider serves again", func() bool { return g.back.Load() != nil })
	served := g.back.Load().Sub(returned)
	after, _ := g.over(settledAfter)
	g.finish()

	g.Logf("p99 %v before, %v from %v on after it went (of a bare timer's lateness: %v), %v after it came back; it served again after %v",
		before, during, settledAfter, late, after, served.Round(time.Millisecond))
	g.Logf("%+v", g.client.Stats())
	for _, c := range g.changes {
		g.Logf("%v: %s", c.at.Sub(went).Round(time.Millisecond), c.what)
	}
	if limit := 2*before + late; during > limit {
		wrong = append(wrong, fmt.Sprintf("p99 is %v from %v on, want at most %v", during, settledAfter, limit))
	}
	if served > 2*frozenInterval {
		wrong = append(wrong, fmt.Sprintf("it served again after %v, want two intervals at most", served))
	}
	if n := len(g.failed); n > 0 {
		wrong = append(wrong, fmt.Sprintf("%d calls failed, the first with %v", n, errors.Join(g.failed[:min(3, n)]...)))
	}
	return wrong
}

// afflicted is a client with its callers, and three providers one of which is the
// victim.
type afflicted struct {
	*testing.T
	registry *memory.Registry
	client   client.SGClient
	victim   *process.Process
	addr     string // the victim's
	stop     chan struct{}
	callers  sync.WaitGroup
	back     atomic.Pointer[time.Time] // when the victim first answered, since it was set to nil

	mu sync.Mutex
	// Guarded by mu:
	took    []time.Duration // of the calls since the last report
	late    []time.Duration // of a bare timer since then
	latest  time.Duration   // the most of those, ever
	failed  []error
	changes []told // of the victim
}

type told struct {
	at   time.Time
	what string
}

func newAfflicted(t *testing.T, program *process.Program) *afflicted {
	t.Helper()
	g := &afflicted{T: t, registry: memory.NewRegistry("app"), stop: make(chan struct{})}
	for range 3 {
		g.victim = program.Start(t)
		g.list(g.victim.Addr)
	}
	g.addr = g.victim.Addr
	op := client.DefaultSGOption
	op.AppKey, op.Registry = "app", g.registry
	op.FailMode, op.Retries, op.Idempotent = client.FailOver, 2, []string{"Echo.Say"}
	op.RequestTimeout, op.AttemptTimeout = 2*time.Second, 100*time.Millisecond
	op.CircuitBreakerThreshold, op.CircuitBreakerWindow = 20, time.Second
	op.HeartbeatInterval, op.HeartbeatDegradeThreshold = frozenInterval, 2
	op.Wrappers = []client.Wrapper{g}
	op.OnStateChange = g.changed
	c, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	g.client = c
	for id := range frozenCallers {
		g.callers.Go(func() { g.call(int64(id)) })
	}
	g.callers.Go(g.watchTheMachine)
	return g
}

// watchTheMachine notes how late a bare timer is.
func (g *afflicted) watchTheMachine() {
	const pause = 5 * time.Millisecond
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		begun := time.Now()
		select {
		case <-g.stop:
			return
		case <-timer.C:
		}
		late := max(0, time.Since(begun)-pause)
		g.mu.Lock()
		g.late, g.latest = append(g.late, late), max(g.latest, late)
		g.mu.Unlock()
		timer.Reset(pause)
	}
}

// list registers a provider that has just started, as its server would.
func (g *afflicted) list(addr string) {
	g.Helper()
	p := registry.Provider{Network: "tcp", Addr: addr, Started: time.Now()}
	if err := g.registry.Register(context.Background(), registry.RegisterOption{}, p); err != nil {
		g.Fatal(err)
	}
}

func (g *afflicted) call(id int64) {
	pause := time.NewTicker(frozenPause)
	defer pause.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-pause.C:
		}
		begun := time.Now()
		res, err := client.Invoke[echo.Body](context.Background(), g.client, "Echo.Say", &echo.Body{ID: id})
		if err == nil && res.ID != id {
			err = fmt.Errorf("caller %d got the reply of %d", id, res.ID)
		}
		took := time.Since(begun)
		g.mu.Lock()
		g.took = append(g.took, took)
		if err != nil {
			g.failed = append(g.failed, err)
		}
		g.mu.Unlock()
	}
}

// WrapCall implements client.Wrapper.
func (g *afflicted) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc { return next }

// WrapAttempt implements client.AttemptWrapper.
func (g *afflicted) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	return func(ctx context.Context, a *client.Attempt) error {
		err := next(ctx, a)
		if err == nil && g.back.Load() == nil && a.Provider.Addr == g.addr {
			now := time.Now()
			g.back.CompareAndSwap(nil, &now)
		}
		return err
	}
}

func (g *afflicted) changed(c client.StateChange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes = append(g.changes, told{time.Now(), fmt.Sprintf("%s %v, breaker %v", c.Addr, c.State, c.Breaker)})
}

// over returns the p99 of the calls of the next d, and of how late a bare timer
// was in that time.
func (g *afflicted) over(d time.Duration) (took, late time.Duration) {
	g.mu.Lock()
	g.took, g.late = nil, nil
	g.mu.Unlock()
	time.Sleep(d)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.took) == 0 || len(g.late) == 0 {
		g.Fatalf("no call ended within %v", d)
	}
	return p99(g.took), p99(g.late)
}

func p99(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)*99/100]
}

// until waits for something to become so.
func (g *afflicted) until(what string, so func() bool) {
	g.Helper()
	for begun := time.Now(); !so(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			g.Fatalf("after a minute it is not so that %s", what)
		}
	}
}

// finish ends the calls.
func (g *afflicted) finish() {
	close(g.stop)
	g.callers.Wait()
	_ = g.client.Close() // it returns nil
}
