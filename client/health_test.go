package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

// Heartbeats are sent a second after the last sign of life and may take one: with
// a threshold of 2 a provider that fell silent at 0 is degraded at 3 s exactly.
func TestDegradedAfterExactlyTheThreshold(t *testing.T) {
	withFleet(t, 3, nil, func(w *fleet) {
		w.freeze(1)
		time.Sleep(3*time.Second - 1)
		if s := w.status(1); s.State != client.Connected || s.Excluded != nil {
			t.Errorf("before the second heartbeat was missed: %v, %v", s.State, s.Excluded)
		}
		time.Sleep(time.Nanosecond)
		s := w.status(1)
		var missed *client.HeartbeatError
		if s.State != client.Degraded || !errors.As(s.Err, &missed) || missed.Missed != 2 || !errors.As(s.Excluded, &missed) {
			t.Errorf("after the second heartbeat was missed: %v, %v, %v", s.State, s.Err, s.Excluded)
		}
		if got := w.served(); got[1] != 0 {
			t.Errorf("the degraded provider was called: %v", got)
		}
		time.Sleep(500 * time.Millisecond)
		w.thaw(1) // the heartbeat under way is answered
		if s := w.status(1); s.State != client.Connected || s.Excluded != nil {
			t.Errorf("after one success: %v, %v", s.State, s.Excluded)
		}
		if got := w.served(); got[1] == 0 {
			t.Errorf("the provider that recovered was not called: %v", got)
		}
		if n := w.providers[1].accepted.Load(); n != 1 {
			t.Errorf("%d connections, want the one from before", n)
		}
		if want := []string{"3s degraded closed", "3.5s connected closed"}; !slices.Equal(w.changes(1), want) {
			t.Errorf("told %q, want %q", w.changes(1), want)
		}
		if got := w.changes(0); len(got) != 0 {
			t.Errorf("told of a provider that is well: %q", got)
		}
	})
}

func TestOneMissedHeartbeatDegradesNobody(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		for range 5 {
			w.freeze(0)
			time.Sleep(1900 * time.Millisecond)
			w.thaw(0)
			time.Sleep(5300 * time.Millisecond)
		}
		if got := w.changes(0); len(got) != 0 {
			t.Errorf("told %q", got)
		}
	})
}

// A reply is a sign of life as much as an answered heartbeat.
func TestAnyByteIsLife(t *testing.T) {
	withFleet(t, 2, func(op *client.SGOption) { op.RequestTimeout = -1 }, func(w *fleet) {
		var slow []*client.Call
		for range 40 {
			slow = append(slow, w.client.Go(context.Background(), "Echo.Slow", &text{"4.5s"}, new(text), nil))
		}
		time.Sleep(1500 * time.Millisecond)
		w.net.SetFaultsAt(p(0), transport.MemFaults{ToListener: transport.MemPath{Stall: true}}) // it answers what it has
		time.Sleep(4 * time.Second)
		if s := w.status(0); s.State != client.Connected {
			t.Errorf("a provider that just replied is %v", s.State)
		}
		for _, call := range slow {
			if <-call.Done; call.Error != nil {
				t.Errorf("a slow call: %v", call.Error)
			}
		}
	})
}

// Trying beats refusing: where all are degraded all are called.
func TestEveryProviderDegraded(t *testing.T) {
	withFleet(t, 3, nil, func(w *fleet) {
		for i := range w.providers {
			w.freeze(i)
		}
		time.Sleep(3 * time.Second)
		for i := range w.providers {
			if s := w.status(i); s.State != client.Degraded || s.Excluded != nil {
				t.Errorf("%s is %v, excluded %v", p(i), s.State, s.Excluded)
			}
		}
		var calls []*client.Call
		for range 60 {
			calls = append(calls, w.client.Go(context.Background(), "Echo.Say", &text{"hello"}, new(text), nil))
		}
		time.Sleep(500 * time.Millisecond)
		for i := range w.providers {
			w.thaw(i)
		}
		for _, call := range calls {
			if <-call.Done; call.Error != nil {
				t.Errorf("a call to a degraded provider: %v", call.Error)
			}
		}
		if got := w.served(); slices.Contains(got, 0) {
			t.Errorf("after all recovered: %v", got)
		}
	})
}

// One that is well gets all calls, and no sooner is it tried than the degraded.
func TestADegradedProviderIsCalledWhenTheOthersWereTried(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		w.degrade(0)
		w.providers[1].leave()
		synctest.Wait()
		w.providers[1].stop()
		synctest.Wait()
		time.AfterFunc(200*time.Millisecond, func() { w.thaw(0) })
		begun := time.Now()
		say(t, w.client)
		if took := time.Since(begun); took != 200*time.Millisecond {
			t.Errorf("answered after %v, want as soon as the degraded provider could", took)
		}
	})
}

// A degraded provider's connection is lost: it is dialled in the background, with
// pauses that grow and are capped, for as long as it is listed.
func TestADegradedProviderIsRedialled(t *testing.T) {
	withFleet(t, 2, func(op *client.SGOption) { op.RedialMax = 800 * time.Millisecond }, func(w *fleet) {
		w.degrade(0)
		w.net.SetFaultsAt(p(0), transport.MemFaults{RefuseDials: true})
		w.net.Cut(p(0))
		time.Sleep(30 * time.Second)
		if s := w.status(0); s.State != client.Degraded {
			t.Errorf("without a connection it is %v", s.State)
		}
		if got := w.served(); got[0] != 0 {
			t.Errorf("it was called: %v", got)
		}
		w.thaw(0)
		time.Sleep(800 * time.Millisecond) // no pause is longer
		if s := w.status(0); s.State != client.Connected {
			t.Errorf("within the longest pause after it came back it is %v", s.State)
		}
		if got := w.served(); got[0] == 0 {
			t.Errorf("after it came back: %v", got)
		}
		if got := w.changes(0); len(got) != 2 || got[0] != "3s degraded closed" {
			t.Errorf("told %q, want degraded and connected alone", got)
		}
	})
}

// The kernel of a process that hangs accepts connections: that is no sign of life.
func TestANewConnectionAloneIsNoLife(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		w.degrade(0)
		w.net.Cut(p(0))
		time.Sleep(3500 * time.Millisecond)
		if n := w.providers[0].accepted.Load(); n != 2 {
			t.Errorf("%d connections, want a second", n)
		}
		if s := w.status(0); s.State != client.Degraded {
			t.Errorf("with a connection that says nothing it is %v", s.State)
		}
		w.thaw(0)
		if s := w.status(0); s.State != client.Connected {
			t.Errorf("when the new connection answered it is %v", s.State)
		}
	})
}

// A provider that is gone without a word, its host too: calls that have no
// deadline end, with the connection, after three times the threshold.
func TestSilenceEndsAConnectionAtLast(t *testing.T) {
	withFleet(t, 2, func(op *client.SGOption) { op.RequestTimeout = -1 }, func(w *fleet) {
		ctx := client.With(context.Background(), client.Tags(nil))
		var calls []*client.Call
		for range 20 {
			calls = append(calls, w.client.Go(ctx, "Echo.Hang", &text{}, nil, nil))
		}
		synctest.Wait()
		w.net.SetFaultsAt(p(0), transport.BothWays(transport.MemPath{Blackhole: true}))
		time.Sleep(7*time.Second - 1)
		ended := func() (n int) {
			synctest.Wait()
			for _, call := range calls {
				n += len(call.Done)
			}
			return n
		}
		if n := ended(); n != 0 {
			t.Errorf("%d calls ended before the sixth heartbeat was missed", n)
		}
		time.Sleep(time.Nanosecond)
		if ended() == 0 {
			t.Error("no call ended with the connection")
		}
		for _, call := range calls {
			if len(call.Done) > 0 {
				wantError(t, call.Error, protocol.Unavailable, protocol.MaybeRun, "6 heartbeats in a row")
			}
		}
		time.Sleep(time.Minute)
		if s := w.status(0); s.State != client.Degraded {
			t.Errorf("a minute later it is %v", s.State)
		}
		w.thaw(0)
		time.Sleep(client.DefaultDialTimeout + 5*time.Second) // the dial under way, and the longest pause
		if s := w.status(0); s.State != client.Connected {
			t.Errorf("when it was back it is %v", s.State)
		}
	})
}

// A provider that cannot be reached is dialled though no call needs it.
func TestAFailingProviderIsRedialledWithoutCalls(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		w.providers[0].stop()
		synctest.Wait()
		for range 20 {
			say(t, w.client)
		}
		if s := w.status(0); s.State != client.Failing || s.Excluded == nil {
			t.Errorf("%v, excluded %v", s.State, s.Excluded)
		}
		time.Sleep(time.Minute)
		w.providers[0] = listenMem(w, w.net, p(0))
		time.Sleep(5 * time.Second) // the longest pause
		if s := w.status(0); s.State != client.Connected || s.Excluded != nil {
			t.Errorf("%v, excluded %v", s.State, s.Excluded)
		}
	})
}

// Another instance at the address of one that was degraded starts without blame.
func TestARestartedProviderIsNotDegraded(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		entry := w.status(0).Provider
		entry.Started = time.Now()
		register := func() {
			if err := w.registry.Register(context.Background(), registry.RegisterOption{}, entry); err != nil {
				t.Fatal(err)
			}
		}
		register()
		w.degrade(0)
		entry.Started = time.Now()
		register()
		if s := w.status(0); s.State == client.Degraded || s.Excluded != nil {
			t.Errorf("%v, excluded %v", s.State, s.Excluded)
		}
		w.thaw(0)
		if got := w.served(); got[0] == 0 {
			t.Errorf("not called: %v", got)
		}
	})
}

func TestHeartbeatsThatDegradeNobody(t *testing.T) {
	for name, change := range map[string]func(*client.SGOption){
		"off":          func(op *client.SGOption) { op.Heartbeat = false },
		"no threshold": func(op *client.SGOption) { op.HeartbeatDegradeThreshold = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			withFleet(t, 2, change, func(w *fleet) {
				w.freeze(0)
				time.Sleep(time.Minute)
				if s := w.status(0); s.State != client.Connected || s.Excluded != nil {
					t.Errorf("%v, excluded %v", s.State, s.Excluded)
				}
				w.thaw(0)
			})
		})
	}
}

// A negative weight asks for no calls as long as another is there.
func TestANegativeWeight(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		entry := w.status(0).Provider
		entry.Weight = -1
		if err := w.registry.Register(context.Background(), registry.RegisterOption{}, entry); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := w.served(); got[0] != 0 {
			t.Errorf("it was called: %v", got)
		}
		w.providers[1].stop()
		synctest.Wait()
		say(t, w.client)
		if s := w.status(0); s.Excluded != nil {
			t.Errorf("alone it is excluded: %v", s.Excluded)
		}
	})
}
