package e2e

import (
	"bufio"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/e2e/internal/process"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
)

// journalled are three provider processes that write down what they execute.
type journalled struct {
	t       *testing.T
	program *process.Program
	journal string
	running []*process.Process
	kills   int
	drains  int
}

func startJournalled(t *testing.T) *journalled {
	j := &journalled{t: t, program: process.Build(t, "./internal/journalserver"), journal: filepath.Join(t.TempDir(), "journal")}
	for range 3 {
		j.running = append(j.running, j.start("127.0.0.1:0"))
	}
	return j
}

// start starts a provider that has room for few requests, so that it refuses
// some.
func (j *journalled) start(addr string) *process.Process {
	return j.program.Start(j.t, "-addr", addr, "-journal", j.journal, "-max-requests", "6")
}

// client returns one that tries again as far as that is allowed.
func (j *journalled) client(mode client.FailMode) client.SGClient {
	r := registry.NewPeer2PeerRegistry()
	for _, p := range j.running {
		r = r.WithProvider(registry.Provider{Network: "tcp", Addr: p.Addr})
	}
	op := client.DefaultSGOption
	op.Registry = r
	op.FailMode, op.RetryBudget = mode, -1
	if mode != client.FailFast {
		op.Retries = 3
	}
	op.RedialInitial, op.RedialMax = 5*time.Millisecond, 20*time.Millisecond
	c, err := client.NewSGClient(op)
	if err != nil {
		j.t.Fatal(err)
	}
	j.t.Cleanup(func() { _ = c.Close() }) // returns nil
	return c
}

// disturb ends one provider after the other, by SIGKILL or by a drain, and
// starts it again at the same address.
func (j *journalled) disturb(end time.Time) {
	for time.Now().Before(end) {
		time.Sleep(rand.N(60 * time.Millisecond))
		i := rand.IntN(len(j.running))
		p := j.running[i]
		if rand.IntN(4) == 0 {
			p.Leave()
			j.drains++
		} else {
			p.Kill()
			j.kills++
		}
		p.Wait()
		j.running[i] = j.start(p.Addr)
	}
}

// executions reads the journal: how often each ID ran.
func (j *journalled) executions() map[int64]int {
	file, err := os.Open(j.journal)
	if err != nil {
		j.t.Fatal(err)
	}
	defer file.Close()
	ran := make(map[int64]int)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		id, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			j.t.Errorf("a torn line: %v", err)
			continue
		}
		ran[id]++
	}
	if err := lines.Err(); err != nil {
		j.t.Fatal(err)
	}
	return ran
}

// A method that is not idempotent runs at most once, whatever is killed under
// it and however often its call is tried again; and what every call's outcome
// says of it is what the providers' journal says.
func TestOutcomesAgreeWithTheJournal(t *testing.T) {
	for _, mode := range []client.FailMode{client.FailFast, client.FailOver, client.FailRetry} {
		t.Run(mode.String(), func(t *testing.T) {
			j := startJournalled(t)
			c := j.client(mode)
			length := 8 * time.Second
			if testing.Short() {
				length = 2 * time.Second
			}
			end := time.Now().Add(length)
			var next atomic.Int64
			var mu sync.Mutex
			errs := make(map[int64]error)
			var wg sync.WaitGroup
			for range 24 {
				wg.Go(func() {
					for time.Now().Before(end) {
						id := next.Add(1)
						err := c.Call(context.Background(), "Journal.Enter", &echo.Body{ID: id}, new(echo.Body))
						mu.Lock()
						errs[id] = err
						mu.Unlock()
					}
				})
			}
			j.disturb(end)
			wg.Wait()
			for _, p := range j.running {
				p.Leave()
				p.Wait()
			}
			j.check(errs, c.Stats())
		})
	}
}

// check holds each call's outcome against the journal.
func (j *journalled) check(errs map[int64]error, stats client.Stats) {
	t := j.t
	ran := j.executions()
	seen := make(map[string]int)
	executions := 0
	for id, err := range errs {
		n := ran[id]
		executions += n
		what, fits := "OK", n == 1
		if err != nil {
			what = protocol.OutcomeOf(err).String()
			switch protocol.OutcomeOf(err) {
			case protocol.NotSent, protocol.Refused:
				fits = n == 0
			case protocol.MaybeRun:
				fits = n <= 1
				what += map[bool]string{true: ", ran", false: ", did not run"}[n > 0]
			}
		}
		seen[what]++
		if !fits {
			t.Errorf("call %d ran %d times, and ended with %v (%v)", id, n, err, protocol.OutcomeOf(err))
		}
	}
	if len(ran) > len(errs) || executions > len(errs) {
		t.Errorf("%d executions of %d calls", executions, len(errs))
	}
	t.Logf("%d calls, %d executions, %d kills, %d drains; outcomes %v; %d retries, %d moves", len(errs), executions, j.kills, j.drains, seen, stats.Retries, stats.Moves)
	if seen["OK"] == 0 || seen["Ran"] == 0 || seen["MaybeRun, ran"]+seen["MaybeRun, did not run"] == 0 || stats.Moves == 0 {
		t.Error("the test disturbed too little to tell anything")
	}
	if stats.Retries == 0 && stats.Failures[protocol.ResourceExhausted] == 0 {
		t.Error("nothing was refused")
	}
}
