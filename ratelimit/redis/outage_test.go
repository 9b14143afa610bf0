package redis

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
)

// logged collects what is logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func collect(t *testing.T) *logged {
	t.Helper()
	l := &logged{}
	log.SetHandler(slog.NewTextHandler(l, nil))
	t.Cleanup(func() { log.SetHandler(nil) })
	return l
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// callUntil makes calls, none of which may fail or take longer than most, until
// the state is as wanted.
func callUntil(t *testing.T, l *Limiter, local bool, most time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for l.State().Local != local {
		begun := time.Now()
		if err := l.Acquire(ctx); err != nil {
			t.Fatalf("a call failed: %v, state %+v", err, l.State())
		}
		if took := time.Since(begun); took > most {
			t.Errorf("a call took %v", took)
		}
	}
}

// TestRedisKilledAndRestarted has callers all the time: none of their calls
// fails, whatever becomes of Redis.
func TestRedisKilledAndRestarted(t *testing.T) {
	out := collect(t)
	server := registryserver.Redis(t)
	option := Option{Rate: 400, Queue: 100, Instances: 4, Timeout: 200 * time.Millisecond, RetryEvery: 100 * time.Millisecond}
	l := limiter(t, server.Addr(), option)
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for {
				err := l.Acquire(ctx)
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					t.Errorf("a call failed: %v", err)
				}
			}
		})
	}
	defer callers.Wait()
	defer cancel()
	callUntil(t, l, false, patient)
	for outage := 1; outage <= 2; outage++ {
		server.Kill()
		callUntil(t, l, true, patient)
		if state := l.State(); state.Since.IsZero() || state.Err == nil {
			t.Errorf("Redis is dead, and the state is %+v", state)
		}
		server.Restart()
		callUntil(t, l, false, patient)
		if state := l.State(); state != (State{}) {
			t.Errorf("Redis is back, and the state is %+v", state)
		}
		waitLogged(t, l, out, outage)
	}
	cancel()
	callers.Wait() // whoever is about to log has
	if away, back := out.count("Redis is away"), out.count("Redis decides again"); away != 2 || back != 2 {
		t.Errorf("after 2 outages %d lines say that Redis is away, %d that it is back", away, back)
	}
}

// waitLogged waits, calling, until as many outages as so many are logged with
// their ends: a line comes a moment after the state that it tells of.
func waitLogged(t *testing.T, l *Limiter, out *logged, outages int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for out.count("Redis is away") < outages || out.count("Redis decides again") < outages {
		if err := l.Acquire(ctx); err != nil {
			t.Fatalf("after %d outages not as many lines of each kind: %v", outages, err)
		}
	}
}

// A server that hangs costs the first calls their Timeout, not every call.
func TestRedisFrozen(t *testing.T) {
	collect(t)
	server := registryserver.Redis(t)
	l := limiter(t, server.Addr(), Option{Rate: 1000, Queue: 10, Timeout: 100 * time.Millisecond, RetryEvery: 300 * time.Millisecond})
	callUntil(t, l, false, patient)
	if err := l.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Freeze()
	callUntil(t, l, true, patient)
	asked, begun := 0, time.Now()
	for time.Since(begun) < time.Second {
		one := time.Now()
		if err := l.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if time.Since(one) > 80*time.Millisecond {
			asked++
		}
	}
	if asked > 4 {
		t.Errorf("%d calls waited for a server that hangs", asked)
	}
	server.Thaw()
	callUntil(t, l, false, patient)
}

// Callers whose deadline is nearer than Timeout do not say that Redis hangs, and keep
// half of their time for themselves.
func TestRedisFrozenUnderCallersInAHurry(t *testing.T) {
	collect(t)
	server := registryserver.Redis(t)
	l := limiter(t, server.Addr(), Option{Rate: 1000, Queue: 10, Timeout: time.Minute})
	if err := l.Acquire(t.Context()); err != nil || l.State().Local {
		t.Fatal(err, l.State())
	}
	server.Freeze()
	defer server.Thaw()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := l.Acquire(ctx); err != nil {
		t.Errorf("%v, state %+v", err, l.State())
	}
	if l.State().Local {
		t.Error("one caller in a hurry has decided that Redis is away")
	}
}

func TestWithoutRedisFromTheStart(t *testing.T) {
	collect(t)
	l := limiter(t, "127.0.0.1:1", Option{Rate: 1, Instances: 1})
	if err := l.TryAcquire(t.Context()); err != nil {
		t.Error(err)
	}
	if state := l.State(); !state.Local {
		t.Errorf("state %+v", state)
	}
	wantRefused(t, l.TryAcquire(t.Context()), time.Second)
	wantRefused(t, l.AcquireWithTimeout(t.Context(), time.Millisecond), time.Second)
}

// What callers in a hurry wait for side by side adds up to nothing: after Timeout
// without an answer to anybody one is told to look, and that decides.
func TestHurriedFailuresDoNotAddUp(t *testing.T) {
	s := standing{timeout: 50 * time.Millisecond, retryEvery: time.Second}
	now, failure := time.Now(), errors.New("no answer")
	for range 10 {
		if s.failed(failure, 10*time.Millisecond, now) || s.now().Local {
			t.Fatal("no time has passed")
		}
	}
	s.answered()
	now = now.Add(time.Minute)
	if s.failed(failure, 10*time.Millisecond, now) || s.failed(failure, 10*time.Millisecond, now.Add(s.timeout-1)) {
		t.Fatal("too early after an answer")
	}
	now = now.Add(s.timeout)
	if !s.failed(failure, 10*time.Millisecond, now) || s.failed(failure, 10*time.Millisecond, now) {
		t.Error("not one caller alone begins a look")
	}
	if s.now().Local {
		t.Error("away before the look has ended")
	}
	s.looked(nil, now)
	if s.failed(failure, 10*time.Millisecond, now) || s.now().Local {
		t.Error("the look was answered")
	}
	now = now.Add(s.timeout)
	if !s.failed(failure, 10*time.Millisecond, now) {
		t.Error("no second look")
	}
	s.looked(failure, now)
	if state := s.now(); !state.Local || state.Since != now || state.Err != failure {
		t.Errorf("no look was answered: %+v", state)
	}
}

// Who decides while Redis is away, and when the limiter looks.
func TestLooksWhileRedisIsAway(t *testing.T) {
	s := standing{timeout: 50 * time.Millisecond, retryEvery: time.Second}
	now, failure := time.Now(), errors.New("no answer")
	if s.failed(failure, s.timeout, now) || !s.now().Local {
		t.Fatal("a question with all of its time does not decide")
	}
	later := now.Add(time.Second)
	s.failed(failure, 50*time.Microsecond, later.Add(-1)) // was asked before
	if local, look := s.decider(later.Add(-1)); !local || look {
		t.Error("looks too early")
	}
	if local, look := s.decider(later); !local || !look {
		t.Error("nobody looks: a caller in a hurry has renewed the outage")
	}
	if local, look := s.decider(later); !local || look {
		t.Error("not one caller alone looks")
	}
	s.looked(failure, later)
	if local, look := s.decider(later.Add(time.Second - 1)); !local || look {
		t.Error("looks too early after a look")
	}
	if s.now().Since != now {
		t.Error("a look that was not answered began another outage")
	}
	if _, look := s.decider(later.Add(time.Second)); !look {
		t.Error("no second look")
	}
	s.looked(nil, later.Add(time.Second))
	if local, look := s.decider(later.Add(time.Second)); local || look {
		t.Error("a look was answered, and Redis is away")
	}
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	good := Option{Redis: &goredis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}, Key: "k", Rate: 1}
	for field, spoil := range map[string]func(*Option){
		"Redis":      func(o *Option) { o.Redis = nil },
		"Key":        func(o *Option) { o.Key = "" },
		"Rate":       func(o *Option) { o.Rate = 0 },
		"Burst":      func(o *Option) { o.Burst = -1 },
		"Queue":      func(o *Option) { o.Queue = 1 << 21 },
		"Instances":  func(o *Option) { o.Instances = -1 },
		"Timeout":    func(o *Option) { o.Timeout = -1 },
		"RetryEvery": func(o *Option) { o.RetryEvery = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "Option."+field+" ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	server := *good.Redis
	l, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if good.Redis.MaxRetries != server.MaxRetries || good.Redis.ContextTimeoutEnabled {
		t.Error("New wrote to its argument")
	}
}
