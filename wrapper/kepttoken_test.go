package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/wrapper"
)

// mint makes tokens that are numbered, and takes its time.
type mint struct {
	mu sync.Mutex
	// Guarded by mu:
	made  int
	tried int
	life  time.Duration // 0: for ever
	takes time.Duration
	err   error
}

func (m *mint) fetch(ctx context.Context) (string, time.Time, error) {
	m.mu.Lock()
	takes := m.takes
	m.tried++
	m.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return "", time.Time{}, m.err
	}
	m.made++
	var expires time.Time
	if m.life > 0 {
		expires = time.Now().Add(m.life)
	}
	return fmt.Sprint("token-", m.made), expires, nil
}

func (m *mint) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func wantToken(t *testing.T, get func(context.Context) (string, error), want string) {
	t.Helper()
	if got, err := get(t.Context()); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestATokenIsKeptForThreeQuartersOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Minute}
		get := wrapper.KeepToken(m.fetch)
		wantToken(t, get, "token-1")
		time.Sleep(45*time.Second - time.Nanosecond)
		wantToken(t, get, "token-1")
		time.Sleep(time.Nanosecond)
		wantToken(t, get, "token-2")
	})
}

func TestATokenForEverIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := wrapper.KeepToken((&mint{}).fetch)
		wantToken(t, get, "token-1")
		time.Sleep(1000 * time.Hour)
		wantToken(t, get, "token-1")
	})
}

// While one call fetches the next token, others go on with this one.
func TestRenewalHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Minute}
		get := wrapper.KeepToken(m.fetch)
		wantToken(t, get, "token-1")
		time.Sleep(50 * time.Second)
		m.set(func() { m.takes = 5 * time.Second })
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, get, "token-2") })
		synctest.Wait()
		begun := time.Now()
		for range 10 {
			wantToken(t, get, "token-1")
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("held up for %v", took)
		}
		wg.Wait()
		wantToken(t, get, "token-2")
		if m.tried != 2 {
			t.Errorf("fetched %d times", m.tried)
		}
	})
}

// A renewal that fails leaves the token in use while it counts, and is tried
// again a second later.
func TestARenewalThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Minute}
		get := wrapper.KeepToken(m.fetch)
		wantToken(t, get, "token-1")
		m.set(func() { m.err = errors.New("the mint is closed") })
		time.Sleep(45 * time.Second)
		for range 5 {
			wantToken(t, get, "token-1")
		}
		if m.tried != 2 {
			t.Errorf("fetched %d times at once", m.tried)
		}
		time.Sleep(time.Second)
		wantToken(t, get, "token-1")
		if m.tried != 3 {
			t.Errorf("fetched %d times within a second", m.tried)
		}
		time.Sleep(14 * time.Second)
		if token, err := get(t.Context()); err == nil || err.Error() != "the mint is closed" {
			t.Errorf("beyond its life: %q, %v", token, err)
		}
		m.set(func() { m.err = nil })
		wantToken(t, get, "token-2")
	})
}

// A fetch that hangs costs the call that renews a part of its time, and no call
// its token.
func TestARenewalThatHangs(t *testing.T) {
	for name, test := range map[string]struct{ limit, held time.Duration }{
		"a call of a second":      {time.Second, 250 * time.Millisecond},
		"a call of an hour":       {time.Hour, 10 * time.Second},
		"a call without an end":   {0, 10 * time.Second},
		"a call that has no time": {time.Nanosecond, time.Nanosecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mint{life: time.Hour}
				get := wrapper.KeepToken(m.fetch)
				wantToken(t, get, "token-1")
				m.set(func() { m.takes = 24 * time.Hour })
				time.Sleep(45 * time.Minute)
				ctx := t.Context()
				if test.limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.limit)
					defer cancel()
				}
				begun := time.Now()
				token, err := get(ctx)
				if token != "token-1" || err != nil {
					t.Errorf("got %q, %v", token, err)
				}
				if took := time.Since(begun); took > test.held {
					t.Errorf("held up for %v of %v, want at most %v", took, test.limit, test.held)
				}
				if test.limit > time.Nanosecond && ctx.Err() != nil {
					t.Errorf("the call has ended: %v", ctx.Err())
				}
				if m.tried != 2 {
					t.Errorf("fetched %d times", m.tried)
				}
			})
		})
	}
}

// An endpoint that hangs is asked less and less often, and no call fails of it
// while the token counts.
func TestRenewalsThatHangBecomeRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour}
		get := wrapper.KeepToken(m.fetch)
		wantToken(t, get, "token-1")
		m.set(func() { m.takes = 24 * time.Hour })
		time.Sleep(45 * time.Minute)
		call := func(want string) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if token, err := get(ctx); token != want || err != nil || ctx.Err() != nil {
				t.Fatalf("got %q, %v; the call: %v", token, err, ctx.Err())
			}
		}
		for end := time.Now().Add(14 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Second) {
			call("token-1")
		}
		if m.tried < 10 || m.tried > 40 {
			t.Errorf("fetched %d times in 14 minutes", m.tried)
		}
		m.set(func() { m.takes = 0 })
		time.Sleep(time.Minute)
		call("token-2")
	})
}

// Where the token expires while it is renewed, the call that renews and those that
// came to wait have the rest of their own time for a fetch.
func TestATokenExpiresWhileItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Minute}
		get := wrapper.KeepToken(m.fetch)
		wantToken(t, get, "token-1")
		time.Sleep(time.Minute - 100*time.Millisecond)
		m.set(func() { m.takes = 400 * time.Millisecond })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		defer wg.Wait()
		call := func() {
			if token, err := get(ctx); token != "token-2" || err != nil {
				t.Errorf("got %q, %v", token, err)
			}
		}
		wg.Go(call)
		time.Sleep(110 * time.Millisecond)
		wg.Go(call)
		wg.Go(call)
	})
}

// Calls without a token wait for one fetch, each within its own time; when the
// one that fetches gives up, another does.
func TestTheFirstTokenIsFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Minute, takes: 10 * time.Millisecond}
		get := wrapper.KeepToken(m.fetch)
		impatient, cancel := context.WithTimeout(t.Context(), 4*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 { // one fetches, one waits
			wg.Go(func() {
				if _, err := get(impatient); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("an impatient one got %v", err)
				}
			})
		}
		synctest.Wait()
		for range 20 {
			wg.Go(func() { wantToken(t, get, "token-1") })
		}
		wg.Wait()
		if m.tried != 2 {
			t.Errorf("fetched %d times", m.tried)
		}
	})
}
