package registry

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var fresh = State{Status: Fresh}

func tcp(addr string) Provider {
	return Provider{ProviderKey: JoinKey("tcp", addr), Network: "tcp", Addr: addr}
}

func TestFeedWaitsForTheFirstListOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		ps, state, err := f.Providers(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("without a list: error %v after %v, want the deadline after 1s", err, time.Since(start))
		}
		if ps != nil || state.Status != NeverReached {
			t.Errorf("without a list: %v, %v, want nothing, never reached", ps, state)
		}

		time.AfterFunc(time.Minute, func() { f.Publish([]Provider{tcp("a:1")}, fresh) })
		start = time.Now()
		ps, state, err = f.Providers(t.Context())
		if err != nil || len(ps) != 1 || state.Status != Fresh || time.Since(start) != time.Minute {
			t.Errorf("Providers = %v, %v, %v after %v, want one, fresh, after 1m", ps, state, err, time.Since(start))
		}
	})
}

func TestFeedPublishesOnlyWhatIsNew(t *testing.T) {
	failed := errors.New("connection refused")
	stale := State{Status: Stale, Since: time.Unix(1, 0), Cause: failed}
	var f Feed
	for _, step := range []struct {
		name  string
		ps    []Provider
		state State
		want  bool
	}{
		{"an empty first list", nil, fresh, true},
		{"the same", []Provider{}, fresh, false},
		{"a provider", []Provider{tcp("a:1")}, fresh, true},
		{"the same provider", []Provider{tcp("a:1")}, fresh, false},
		{"another", []Provider{tcp("b:1"), tcp("a:1")}, fresh, true},
		{"another order", []Provider{tcp("a:1"), tcp("b:1")}, fresh, false},
		{"a new state", []Provider{tcp("a:1"), tcp("b:1")}, stale, true},
		{"the same state", []Provider{tcp("a:1"), tcp("b:1")}, State{Status: Stale, Since: time.Unix(1, 0), Cause: errors.New("connection refused")}, false},
		{"another cause", []Provider{tcp("a:1"), tcp("b:1")}, State{Status: Stale, Since: time.Unix(1, 0), Cause: errors.New("timeout")}, true},
	} {
		if got := f.Publish(step.ps, step.state); got != step.want {
			t.Errorf("%s: Publish = %v, want %v", step.name, got, step.want)
		}
	}
	w, err := f.Watch()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := w.Next(t.Context()); err != nil || s.Revision != 5 {
		t.Errorf("Next = revision %d, %v, want 5: one for each change", s.Revision, err)
	}
}

// Who left and is not back is told, once each; that alone is news as well.
func TestFeedTellsWhoLeft(t *testing.T) {
	var f Feed
	w, err := f.Watch()
	if err != nil {
		t.Fatal(err)
	}
	f.Publish([]Provider{tcp("a:1")}, fresh)
	left := []string{"tcp@c:1", "tcp@b:1", "tcp@a:1", "tcp@c:1"}
	if !f.Publish([]Provider{tcp("a:1")}, fresh, left...) || f.Publish([]Provider{tcp("a:1")}, fresh, "tcp@b:1", "tcp@c:1") {
		t.Error("want news the first time and none the second")
	}
	for range 2 {
		s, err := w.Next(t.Context())
		if err != nil || !slices.Equal(s.Left, []string{"tcp@b:1", "tcp@c:1"}) {
			t.Fatalf("Left = %q, %v, want b and c", s.Left, err)
		}
		s.Left[0] = "spoilt" // it is the reader's own
		if w, err = f.Watch(); err != nil {
			t.Fatal(err)
		}
	}
	if left[0] != "tcp@c:1" {
		t.Error("Publish wrote to its argument")
	}
}

func TestFeedKeepsTheLastOfAKey(t *testing.T) {
	var f Feed
	first, second := tcp("a:1"), tcp("a:1")
	second.Weight = 2
	f.Publish([]Provider{first, tcp("0:1"), second}, fresh)
	ps, _, err := f.Providers(t.Context())
	if err != nil || len(ps) != 2 || ps[0].Addr != "0:1" || ps[1].Weight != 2 {
		t.Errorf("Providers = %+v, %v, want 0:1 and the second a:1", ps, err)
	}
}

func TestFeedCopiesWhatItIsGiven(t *testing.T) {
	var f Feed
	given := []Provider{full()}
	f.Publish(given, fresh)
	given[0].Tags["k"] = "spoilt"
	given[0].Services[0].Methods[0].Name = "Spoilt"
	given[0].Addr = "spoilt"
	ps, _, err := f.Providers(t.Context())
	if err != nil || !ps[0].Equal(full()) {
		t.Errorf("Providers = %+v, %v, want what was published", ps, err)
	}
}

func TestFeedAfterClose(t *testing.T) {
	var f Feed
	f.Publish(nil, fresh)
	f.Close()
	f.Close()
	if f.Publish([]Provider{tcp("a:1")}, fresh) {
		t.Error("Publish after Close changed something")
	}
	if _, _, err := f.Providers(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Providers after Close: %v", err)
	}
	if err := f.Err(); !errors.Is(err, ErrClosed) {
		t.Errorf("Err after Close: %v", err)
	}
}

func TestConcurrentNextsShareTheSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed
		w, err := f.Watch()
		if err != nil {
			t.Fatal(err)
		}
		revisions := make(chan uint64, 8)
		for range 2 {
			go func() {
				for {
					s, err := w.Next(t.Context())
					if err != nil {
						return
					}
					revisions <- s.Revision
				}
			}()
		}
		for weight := range 3 {
			p := tcp("a:1")
			p.Weight = weight
			f.Publish([]Provider{p}, fresh)
			synctest.Wait()
			if got := <-revisions; got != uint64(weight+1) || len(revisions) != 0 {
				t.Errorf("after change %d: revision %d, and %d more", weight+1, got, len(revisions))
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	})
}
