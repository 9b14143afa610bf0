package e2e

import (
	"context"
	"errors"
	"fmt"
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

// A provider process that is killed gets no call after the first dial to it that
// failed, whatever the list says, and leaves the lists of all consumers within
// two and a half TTLs: on every store, none of which is trusted to notice.
func TestKilledProviderIsCalledNoMoreAndLeavesTheLists(t *testing.T) {
	program := process.Build(t, "./internal/provider")
	for _, kind := range registryKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			r := kind.start(t)
			victim := r.provider(program)
			r.provider(program)
			r.provider(program)
			var consumers []*mourner
			for range 3 {
				consumers = append(consumers, newMourner(r, "tcp@"+victim.Addr))
			}
			for _, c := range consumers {
				c.until("all providers are listed", func() bool { return len(c.client.Providers()) == 3 })
				c.until("the victim was called", func() bool { return c.atVictim.Load() > 0 })
			}
			victim.Kill()
			killed := time.Now()
			for _, c := range consumers {
				c.until("the victim is gone", func() bool { return !c.listsVictim() })
				took := time.Since(killed)
				t.Logf("%s: gone from a consumer's list %v after the kill", kind.name, took.Round(time.Millisecond))
				if limit := sharedTTL * 5 / 2; took > limit {
					t.Errorf("that is more than %v", limit)
				}
			}
			for _, c := range consumers {
				c.finish(killed)
			}
		})
	}
}

// underWay is for a call that had chosen a provider just before that was found to
// be gone: on a busy machine it is a while until it gets there.
const underWay = 100 * time.Millisecond

// mourner is a consumer that calls all the time and keeps a record of what
// becomes of one provider.
type mourner struct {
	*testing.T
	victim string // its ProviderKey
	client client.SGClient

	atVictim atomic.Int64 // attempts
	failedAt atomic.Int64 // when the client could first not connect to it, Unix nanoseconds
	after    atomic.Int64 // attempts that were made after that
	stop     chan struct{}
	callers  sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu:
	errs []error // of calls
	last time.Time
}

func newMourner(r *sharedRegistry, victim string) *mourner {
	r.Helper()
	m := &mourner{T: r.T, victim: victim, stop: make(chan struct{})}
	m.client = r.consumer(func(op *client.SGOption) {
		op.RequestTimeout = 20 * time.Second
		op.Wrappers = []client.Wrapper{m}
		op.OnStateChange = m.changed
	})
	for range 4 {
		m.callers.Go(m.call)
	}
	return m
}

// call calls until the end: each time whoever the client chooses.
func (m *mourner) call() {
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-pause.C:
		}
		res, err := client.Invoke[echo.Body](context.Background(), m.client, "Echo.Say", &echo.Body{ID: 7})
		if err == nil && res.ID != 7 {
			err = fmt.Errorf("the answer is %d", res.ID)
		}
		if err != nil {
			m.mu.Lock()
			m.errs, m.last = append(m.errs, err), time.Now()
			m.mu.Unlock()
		}
	}
}

// WrapCall implements client.Wrapper.
func (m *mourner) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc { return next }

// WrapAttempt implements client.AttemptWrapper.
func (m *mourner) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	return func(ctx context.Context, a *client.Attempt) error {
		if a.Provider.ProviderKey != m.victim {
			return next(ctx, a)
		}
		m.atVictim.Add(1)
		if at := m.failedAt.Load(); at > 0 && time.Since(time.Unix(0, at)) > underWay {
			m.after.Add(1)
		}
		return next(ctx, a)
	}
}

func (m *mourner) changed(c client.StateChange) {
	if c.State == client.Failing && registry.JoinKey(c.Network, c.Addr) == m.victim {
		m.failedAt.CompareAndSwap(0, time.Now().UnixNano())
	}
}

// listsVictim reports whether the registry, or the client, still has it.
func (m *mourner) listsVictim() bool {
	for _, p := range m.client.Providers() {
		if p.Provider.ProviderKey == m.victim {
			return true
		}
	}
	return false
}

// until waits for something to become so.
func (m *mourner) until(what string, so func() bool) {
	m.Helper()
	began := time.Now()
	for !so() {
		if time.Since(began) > time.Minute {
			m.Fatalf("after a minute it is not so that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// finish ends the calls and looks at the record. What was under way at the kill
// may have run; nothing else failed. A process that is killed closes its sockets
// one by one: its last connections may have been made after the kill.
func (m *mourner) finish(killed time.Time) {
	m.Helper()
	close(m.stop)
	m.callers.Wait()
	if n := m.after.Load(); n != 0 {
		m.Errorf("%d attempts at the provider after a connection to it had failed", n)
	}
	if m.failedAt.Load() == 0 {
		m.Error("nobody noticed that the provider is gone")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if late := m.last.Sub(killed); late > time.Second {
		m.Errorf("calls failed until %v after the kill: %v", late, errors.Join(m.errs...))
	}
	for _, err := range m.errs {
		if protocol.OutcomeOf(err) != protocol.MaybeRun {
			m.Errorf("a call failed with %v: %v", protocol.OutcomeOf(err), err)
		}
	}
}
