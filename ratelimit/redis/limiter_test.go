package redis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/ratelimit"
)

// patient is a Timeout that a busy machine keeps.
const patient = 2 * time.Second

func limiter(t *testing.T, addr string, o Option) *Limiter {
	t.Helper()
	o.Redis = &goredis.UniversalOptions{Addrs: []string{addr}}
	if o.Key == "" {
		o.Key = t.Name()
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// wantRefused checks that err refuses for some time up to most.
func wantRefused(t *testing.T, err error, most time.Duration) {
	t.Helper()
	var refused *ratelimit.RefusedError
	if !errors.As(err, &refused) || refused.RetryAfter <= 0 || refused.RetryAfter > most {
		t.Errorf("%v, want a refusal for %v at most", err, most)
	}
}

func TestTheClusterSharesARate(t *testing.T) {
	server := registryserver.Redis(t)
	const perSecond, callers, span = 200, 8, time.Second
	var granted atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	begun := time.Now()
	var all sync.WaitGroup
	for range 2 {
		l := limiter(t, server.Addr(), Option{Rate: perSecond, Queue: callers, Timeout: patient})
		for range callers {
			all.Go(func() {
				for l.Acquire(ctx) == nil {
					granted.Add(1)
				}
			})
		}
		if state := l.State(); state.Local {
			t.Errorf("Redis is there, and the state is %+v", state)
		}
	}
	all.Wait()
	// The token that is saved up, and those that were taken for later.
	most := int64(time.Since(begun).Seconds()*perSecond) + 1 + callers
	if n := granted.Load(); n > most || n < callers {
		t.Errorf("%d tokens in %v, want %d at most", n, time.Since(begun), most)
	}
}

func TestSavingUpAndWaiting(t *testing.T) {
	server := registryserver.Redis(t)
	ctx := t.Context()
	l := limiter(t, server.Addr(), Option{Rate: 0.1, Burst: 3, Queue: 1, Timeout: patient})
	for i := range 3 {
		if err := l.TryAcquire(ctx); err != nil {
			t.Fatalf("token %d of three: %v", i, err)
		}
	}
	wantRefused(t, l.TryAcquire(ctx), 10*time.Second)
	wantRefused(t, l.AcquireWithTimeout(ctx, time.Millisecond), 10*time.Second)
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	wantRefused(t, l.Acquire(short), 10*time.Second)

	giveUp, cancel := context.WithCancel(ctx)
	waited := make(chan error)
	go func() { waited <- l.Acquire(giveUp) }()
	// The queue has one place: when it is taken the next is refused by how
	// long it takes until that is free.
	other := limiter(t, server.Addr(), Option{Rate: 0.1, Burst: 3, Queue: 1, Timeout: patient})
	err := other.TryAcquire(ctx)
	for errors.As(err, new(*ratelimit.RefusedError)) && err.(*ratelimit.RefusedError).RetryAfter <= 10*time.Second {
		time.Sleep(time.Millisecond)
		err = other.TryAcquire(ctx)
	}
	wantRefused(t, other.Acquire(ctx), 10*time.Second)
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("one who gave up: %v", err)
	}
	if err := l.Acquire(giveUp); !errors.Is(err, context.Canceled) {
		t.Errorf("one who had given up: %v", err)
	}
}

func TestATokenIsWaitedFor(t *testing.T) {
	server := registryserver.Redis(t)
	l := limiter(t, server.Addr(), Option{Rate: 20, Queue: 4, Timeout: patient})
	begun := time.Now()
	for range 4 {
		if err := l.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took < 140*time.Millisecond {
		t.Errorf("four tokens, 20 a second, came within %v", took)
	}
}

// The server's clock was set back, or somebody wrote the key.
func TestAKeyThatIsFarAheadStopsNobody(t *testing.T) {
	server := registryserver.Redis(t)
	l := limiter(t, server.Addr(), Option{Rate: 10, Timeout: patient})
	if err := l.client.Set(t.Context(), t.Name(), "9e14", 0).Err(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, l.TryAcquire(t.Context()), 100*time.Millisecond)
}

func TestRedisRemembersNoLongerThanItNeeds(t *testing.T) {
	server := registryserver.Redis(t)
	l := limiter(t, server.Addr(), Option{Rate: 10, Timeout: patient})
	if err := l.TryAcquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := l.client.PTTL(t.Context(), t.Name()).Val(); left <= 0 || left > 1100*time.Millisecond {
		t.Errorf("the key is kept for %v", left)
	}
}

// A key that holds something else is a fault of the setup: it is told, and
// calls go on.
func TestAKeyOfAnotherKind(t *testing.T) {
	server := registryserver.Redis(t)
	l := limiter(t, server.Addr(), Option{Rate: 10, Timeout: patient})
	if err := l.client.SAdd(t.Context(), t.Name(), "x").Err(); err != nil {
		t.Fatal(err)
	}
	if err := l.TryAcquire(t.Context()); err != nil {
		t.Error(err)
	}
	if state := l.State(); !state.Local || !strings.Contains(state.Err.Error(), "WRONGTYPE") {
		t.Errorf("state %+v", state)
	}
}

// A look whether Redis is there takes no token, and gives none.
func TestALookLeavesTheTokensAsTheyAre(t *testing.T) {
	server := registryserver.Redis(t)
	l := limiter(t, server.Addr(), Option{Rate: 0.1, Burst: 2, Queue: 1, Timeout: patient})
	look := func() {
		t.Helper()
		l.standing.goneAway(errors.New("as if"), time.Now().Add(-time.Hour))
		if _, look := l.standing.decider(time.Now()); !look {
			t.Fatal("no look")
		}
		l.look()
		if state := l.State(); state.Local {
			t.Errorf("after a look: %+v", state)
		}
	}
	look()
	for range 2 {
		if err := l.TryAcquire(t.Context()); err != nil {
			t.Error(err)
		}
		look()
	}
	wantRefused(t, l.TryAcquire(t.Context()), 10*time.Second)
}
