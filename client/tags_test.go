package client_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
)

func idc(name string) map[string]string { return map[string]string{"idc": name} }

// inLF is a client of idc lf.
func inLF(op *client.SGOption) { op.Tagged, op.Tags = true, idc("lf") }

// whoAnswers makes n calls and counts who answered.
func (w *fleet) whoAnswers(ctx context.Context, n int) map[string]int {
	w.Helper()
	answered := make(map[string]int)
	for range n {
		who, err := client.Invoke[text](ctx, w.client, "Echo.Who", &text{})
		if err != nil {
			w.Fatal(err)
		}
		answered[who.S]++
	}
	return answered
}

func (w *fleet) tag(i int, tags map[string]string) {
	w.Helper()
	list(w, w.registry, p(i), tags)
}

// withTagged is withFleet of a client of idc lf, with providers whose tags are
// told.
func withTagged(t *testing.T, tags []map[string]string, f func(*fleet)) {
	t.Helper()
	withFleet(t, len(tags), func(op *client.SGOption) {
		inLF(op)
		for i := range tags { // they are listed before the client is made
			list(t, op.Registry.(*memory.Registry), p(i), tags[i])
		}
	}, f)
}

func TestAProviderWhoseTagsChangeIsFollowedAtOnce(t *testing.T) {
	withTagged(t, []map[string]string{idc("lf"), idc("lf"), idc("yf")}, func(w *fleet) {
		ctx := context.Background()
		if got := w.whoAnswers(ctx, 60); got["p0"] == 0 || got["p1"] == 0 || got["p2"] != 0 {
			t.Errorf("two of the client's idc: %v", got)
		}
		w.tag(1, idc("yf"))
		synctest.Wait()
		if got := w.whoAnswers(ctx, 60); got["p0"] != 60 {
			t.Errorf("when one had left the idc: %v", got)
		}
		if s := w.status(1); s.Excluded == nil || s.State != client.Connected {
			t.Errorf("the one that left is %v, excluded %v", s.State, s.Excluded)
		}
		w.tag(1, idc("lf"))
		w.tag(2, idc("lf"))
		synctest.Wait()
		if got := w.whoAnswers(ctx, 60); len(got) != 3 {
			t.Errorf("when all were in the idc: %v", got)
		}
		for i := range 3 {
			w.tag(i, idc("yf"))
		}
		synctest.Wait()
		err := w.client.Call(ctx, "Echo.Who", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "tags")
	})
}

// A share of the traffic is moved by the tags of calls, which take the place of
// the client's own: exactly that share goes, under way and without an error.
func TestTrafficIsShiftedByTheTagsOfCalls(t *testing.T) {
	withTagged(t, []map[string]string{idc("lf"), idc("lf"), idc("yf")}, func(w *fleet) {
		away := client.With(context.Background(), client.Tags(idc("yf")))
		for _, percent := range []int{0, 5, 50, 100, 0} {
			answered := make(map[string]int)
			for i := range 100 {
				ctx := context.Background()
				if i < percent {
					ctx = away
				}
				for who, n := range w.whoAnswers(ctx, 1) {
					answered[who] += n
				}
			}
			if answered["p2"] != percent || answered["p0"]+answered["p1"] != 100-percent {
				t.Errorf("of a share of %d %%: %v", percent, answered)
			}
		}
		meta, err := client.Invoke[text](away, w.client, "Echo.Meta", &text{"sinew-tag-idc"})
		if err != nil || meta.S != "yf" {
			t.Errorf("the tag travelled as %v, %v", meta, err)
		}
		both := client.With(away, client.Tags(map[string]string{"gpu": "yes"}))
		wantError(t, w.client.Call(both, "Echo.Who", &text{}, nil), protocol.Unavailable, protocol.NotSent, "fits this call")
		w.tag(2, map[string]string{"idc": "yf", "gpu": "yes"})
		synctest.Wait()
		if got := w.whoAnswers(both, 20); !maps.Equal(got, map[string]int{"p2": 20}) {
			t.Errorf("with both tags: %v", got)
		}
	})
}

// Who is called by tags of its own is watched like any other.
func TestAShiftedCallAvoidsWhoIsUnwell(t *testing.T) {
	withTagged(t, []map[string]string{idc("lf"), idc("yf"), idc("yf")}, func(w *fleet) {
		away := client.With(context.Background(), client.Tags(idc("yf")))
		if got := w.whoAnswers(away, 60); len(got) != 2 {
			t.Fatalf("before: %v", got)
		}
		w.degrade(1)
		if got := w.whoAnswers(away, 60); got["p2"] != 60 {
			t.Errorf("with one degraded: %v", got)
		}
	})
}

// Who is about to leave, or wants no calls, gets those with tags of their own only where
// nobody else has these.
func TestAShiftedCallAvoidsWhoWantsNoCalls(t *testing.T) {
	for name, change := range map[string]func(*registry.Provider){
		"draining":          func(p *registry.Provider) { p.Draining = true },
		"a negative weight": func(p *registry.Provider) { p.Weight = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			withTagged(t, []map[string]string{idc("lf"), idc("yf"), idc("yf")}, func(w *fleet) {
				away := client.With(context.Background(), client.Tags(idc("yf")))
				reluctant := registry.Provider{Network: "mem", Addr: p(1), Tags: idc("yf")}
				change(&reluctant)
				if err := w.registry.Register(context.Background(), registry.RegisterOption{}, reluctant); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := w.whoAnswers(away, 60); got["p2"] != 60 {
					t.Errorf("beside another: %v", got)
				}
				w.tag(2, idc("lf"))
				synctest.Wait()
				if got := w.whoAnswers(away, 60); got["p1"] != 60 {
					t.Errorf("alone: %v", got)
				}
			})
		})
	}
}

// Tags move to and fro under callers: no call fails, and none is answered by a
// provider that was, all the time of the call, elsewhere.
func TestTagsMoveUnderCalls(t *testing.T) {
	withTagged(t, []map[string]string{idc("lf"), idc("lf"), idc("lf")}, func(w *fleet) {
		var wg sync.WaitGroup
		var away atomic.Int64 // which is elsewhere, and was long enough for all to know; -1: none
		away.Store(-1)
		stop := make(chan struct{})
		for range 10 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					before := away.Load()
					who, err := client.Invoke[text](context.Background(), w.client, "Echo.Who", &text{})
					if err != nil {
						t.Errorf("a call: %v", err)
						return
					}
					if before >= 0 && before == away.Load() && who.S == p(int(before)) {
						t.Errorf("%s answered while it was elsewhere", who.S)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		for round := range 30 {
			w.tag(round%3, idc("yf"))
			time.Sleep(5 * time.Millisecond)
			away.Store(int64(round % 3))
			time.Sleep(10 * time.Millisecond)
			away.Store(-1)
			w.tag(round%3, idc("lf"))
			time.Sleep(5 * time.Millisecond)
		}
		close(stop)
		wg.Wait()
	})
}

// A broadcast is for those of the client's tags, or of the call's; not for who is
// leaving.
func TestABroadcastFollowsTags(t *testing.T) {
	withTagged(t, []map[string]string{idc("lf"), idc("lf"), idc("yf")}, func(w *fleet) {
		asked := func(ctx context.Context) (who []string) {
			t.Helper()
			var mu sync.Mutex
			err := w.client.Broadcast(ctx, "Echo.Who", &text{}, func(from registry.Provider) any {
				mu.Lock()
				defer mu.Unlock()
				who = append(who, from.Addr)
				return new(text)
			})
			if err != nil {
				t.Error(err)
			}
			slices.Sort(who)
			return who
		}
		if got := asked(context.Background()); !slices.Equal(got, []string{"p0", "p1"}) {
			t.Errorf("by the client's tags: %v", got)
		}
		away := client.With(context.Background(), client.Tags(idc("yf")))
		if got := asked(away); !slices.Equal(got, []string{"p2"}) {
			t.Errorf("by the call's: %v", got)
		}
		entry := w.status(0).Provider
		entry.Draining = true
		if err := w.registry.Register(context.Background(), registry.RegisterOption{}, entry); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := asked(context.Background()); !slices.Equal(got, []string{"p1"}) {
			t.Errorf("with one that is leaving: %v", got)
		}
	})
}

// A call that stays with its provider stays there by its own tags too.
func TestAShiftedCallIsTriedAgainAtTheSameProvider(t *testing.T) {
	withFleet(t, 2, func(op *client.SGOption) {
		inLF(op)
		list(t, op.Registry.(*memory.Registry), p(0), idc("lf"))
		list(t, op.Registry.(*memory.Registry), p(1), idc("yf"))
		op.FailMode, op.Retries = client.FailRetry, 2
	}, func(w *fleet) {
		w.fail(1, protocol.NewError(protocol.Unavailable, "no database"))
		ctx := client.With(context.Background(), client.Tags(idc("yf")), client.Idempotent())
		err := w.client.Call(ctx, "Echo.Sick", &text{}, nil)
		story, ok := client.Explain(err)
		if !ok || len(story.Attempts) != 3 || story.Attempts[2].Provider != "mem@p1" || story.Stop != client.StopRetries {
			t.Errorf("%v: %v", err, story)
		}
	})
}

// A message that is passed on brings its tags along, and they choose the provider.
func TestTagsOfMessagesThatArePassedOn(t *testing.T) {
	withTagged(t, []map[string]string{idc("lf"), idc("yf")}, func(w *fleet) {
		passOn := func(idc string) (string, error) {
			reply, err := w.client.Do(w.Context(), &protocol.Message{Header: protocol.Header{
				SerializeType: protocol.SerializeTypeJSON,
				ServiceName:   "Echo",
				MethodName:    "Who",
				MetaData:      map[string]string{protocol.MetaTagPrefix + "idc": idc},
			}, Body: []byte("{}")})
			if err != nil {
				return "", err
			}
			return string(reply.Body), nil
		}
		for range 20 {
			if who, err := passOn("yf"); err != nil || who != `{"S":"p1"}` {
				t.Fatalf("answered by %s, %v", who, err)
			}
		}
		_, err := passOn("nowhere")
		if story, ok := client.Explain(err); !ok || story.Stop != client.StopProviders || protocol.OutcomeOf(err) != protocol.NotSent {
			t.Errorf("with the tag of nobody: %v", err)
		}
	})
}
