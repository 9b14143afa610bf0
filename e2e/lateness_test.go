package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/e2e/internal/process"
)

// How late a call may be beyond what a bare timer of the same process was, when
// a machine and its scheduler have a say in it.
const (
	lateMostly = 50 * time.Millisecond // p99.9, or what can be told of it
	lateMax    = 250 * time.Millisecond
)

// mostly is the quantile that lateMostly is about. Of few values p99.9 is the latest of
// all, which lateMax is about: p99 it is then.
func mostly(values int) (name string, q float64) {
	if values < 2000 {
		return "p99", 0.99
	}
	return "p99.9", 0.999
}

// latenessCase is a provider that does not answer in time, over real sockets.
type latenessCase struct {
	name   string
	method string
	data   int // bytes in each request
	start  func(t *testing.T, program *process.Program) (network, addr string, happen func())
}

func latenessCases() []latenessCase {
	nothing := func() {}
	return []latenessCase{
		{"answering", "Echo.Say", 100, func(t *testing.T, p *process.Program) (string, string, func()) {
			return "tcp", p.Start(t).Addr, nothing
		}},
		{"stopped", "Echo.Say", 100, func(t *testing.T, p *process.Program) (string, string, func()) {
			server := p.Start(t)
			return "tcp", server.Addr, server.Stop
		}},
		{"killed", "Echo.Hang", 100, func(t *testing.T, p *process.Program) (string, string, func()) {
			server := p.Start(t)
			return "tcp", server.Addr, server.Kill
		}},
		{"address refuses", "Echo.Say", 100, func(t *testing.T, p *process.Program) (string, string, func()) {
			server := p.Start(t)
			server.Kill()
			return "tcp", server.Addr, nothing
		}},
		{"never accepts", "Echo.Say", 100, func(t *testing.T, _ *process.Program) (string, string, func()) {
			return "tls", silentListener(t).Addr().String(), nothing
		}},
		{"never reads", "Echo.Say", 64 << 10, func(t *testing.T, _ *process.Program) (string, string, func()) {
			return "tcp", silentListener(t).Addr().String(), nothing
		}},
		{"overloaded", "Echo.Sleep", 100, func(t *testing.T, p *process.Program) (string, string, func()) {
			return "tcp", p.Start(t, "-max-requests", "4").Addr, nothing
		}},
	}
}

// silentListener accepts in the kernel alone: nobody reads what is sent there.
func silentListener(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() }) // nothing was done with it
	return ln
}

// Over real sockets, under load and with the provider in every kind of trouble,
// calls end at their deadline as well as bare timers of this process do.
func TestCallsAreAsPunctualAsBareTimers(t *testing.T) {
	program := process.Build(t, "./internal/echoserver")
	table := &strings.Builder{}
	fmt.Fprintf(table, "%-16s %6s %9s %-8s %12s %12s %12s %12s\n", "provider", "calls", "answered", "", "calls", "bare", "call max", "bare max")
	for _, x := range latenessCases() {
		network, addr, happen := x.start(t, program)
		o := client.Option{RequestTimeout: -1, RedialInitial: time.Millisecond, RedialMax: 20 * time.Millisecond}
		l := measureLateness(t, dial(t, network, addr, o), x, happen)
		calls, bare := sorted(l.calls), sorted(l.bare)
		name, q := mostly(len(calls))
		fmt.Fprintf(table, "%-16s %6d %9d %-8s %12v %12v %12v %12v\n", x.name, len(calls), l.answered, name,
			quantile(calls, q), quantile(bare, q), quantile(calls, 1), quantile(bare, 1))
		if got, most := quantile(calls, q), quantile(bare, q)+lateMostly; got > most {
			t.Errorf("%s: %s of lateness is %v, want at most %v", x.name, name, got, most)
		}
		if got, most := quantile(calls, 1), quantile(bare, 1)+lateMax; got > most {
			t.Errorf("%s: the latest call was %v late, want at most %v", x.name, got, most)
		}
	}
	t.Logf("lateness beyond the deadline, of calls and of timers that ran beside them\n%s", table)
}

// lateness is by how much calls returned after their deadline, and timers that
// were set to the same moment fired after it; zero for what was early.
type lateness struct {
	mu sync.Mutex
	// Guarded by mu:
	calls, bare []time.Duration
	answered    int
}

// measureLateness has 32 callers call one after the other, each with a deadline
// of 5 to 200 ms; happen is called when a third of the calls were made.
func measureLateness(t *testing.T, c client.Caller, x latenessCase, happen func()) *lateness {
	t.Helper()
	const callers = 32
	each := 63 // of all callers together 2,016
	if testing.Short() {
		each = 9
	}
	var l lateness
	var wg, first sync.WaitGroup
	first.Add(callers)
	for caller := range callers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for i := range each {
				l.measure(t, c, x, time.Duration(5+random.IntN(196))*time.Millisecond)
				if i == each/3 {
					first.Done()
				}
			}
		})
	}
	wg.Go(func() {
		first.Wait()
		happen()
	})
	wg.Wait()
	return &l
}

func (l *lateness) measure(t *testing.T, c client.Caller, x latenessCase, limit time.Duration) {
	deadline := time.Now().Add(limit)
	fired := make(chan time.Duration, 1)
	time.AfterFunc(time.Until(deadline), func() { fired <- time.Since(deadline) })
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	err := c.Call(ctx, x.method, &echo.Body{ID: 60, Data: make([]byte, x.data)}, new(echo.Body))
	late := max(0, time.Since(deadline))
	bare := max(0, <-fired)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.bare = append(l.calls, late), append(l.bare, bare)
	if err == nil {
		l.answered++
	}
}

func sorted(d []time.Duration) []time.Duration {
	slices.Sort(d)
	return d
}

// quantile returns the q-th of sorted values, rounded to microseconds.
func quantile(values []time.Duration, q float64) time.Duration {
	return values[int(q*float64(len(values)-1)+0.5)].Round(time.Microsecond)
}
