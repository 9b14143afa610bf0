package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

// sayAway has provider i say goaway on its only connection, and go on listening.
func (w *fleet) sayAway(i int) {
	w.providers[i].session(0).GoAway("it is about to leave")
	synctest.Wait()
}

// A provider that said goaway is dialled again a moment later, not at once: its
// listener may be closing just then.
func TestAProviderThatSaidGoAwayIsLeftAloneForAMoment(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		w.sayAway(0)
		if s := w.status(0); s.Excluded == nil {
			t.Error("Providers does not tell why it is not called")
		}
		for range 100 {
			say(t, w.client)
			time.Sleep(9 * time.Millisecond)
		}
		if got := w.providers[0].accepted.Load(); got != 1 {
			t.Errorf("%d connections to who said goaway", got)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		for range 100 {
			say(t, w.client)
		}
		if got := w.providers[0].accepted.Load(); got != 2 {
			t.Errorf("%d connections after the moment, want a second one", got)
		}
		if s := w.status(0); s.Excluded != nil {
			t.Errorf("after the moment it is still not called: %v", s.Excluded)
		}
	})
}

// Where nobody else is, a provider that asks for another connection gets it at
// once.
func TestAProviderAloneIsDialledThoughItSaidGoAway(t *testing.T) {
	withFleet(t, 1, nil, func(w *fleet) {
		begun := time.Now()
		w.sayAway(0)
		say(t, w.client)
		if took := time.Since(begun); took != 0 {
			t.Errorf("the call waited %v", took)
		}
		if got := w.providers[0].accepted.Load(); got != 2 {
			t.Errorf("%d connections, want 2", got)
		}
	})
}

// A connection that is old says nothing of its provider.
func TestAProviderWhoseConnectionIsOldIsCalledOn(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		w.providers[0].session(0).Renew("it is old")
		if s := w.status(0); s.Excluded != nil {
			t.Errorf("it is not called: %v", s.Excluded)
		}
		if got := w.served(); got[0] == 0 {
			t.Errorf("it was not called at once: %v", got)
		}
	})
}

// A provider that was replaced is called as soon as the registry says so.
func TestAnotherInstanceIsCalledAtOnce(t *testing.T) {
	withFleet(t, 2, nil, func(w *fleet) {
		start := func(at time.Time) {
			instance := registry.Provider{Network: "mem", Addr: p(0), Started: at}
			if err := w.registry.Register(t.Context(), registry.RegisterOption{}, instance); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		start(w.begun)
		w.sayAway(0)
		start(w.begun.Add(time.Minute))
		for range 100 {
			say(t, w.client)
		}
		if got := w.providers[0].accepted.Load(); got != 2 {
			t.Errorf("%d connections, want a second one at once", got)
		}
	})
}

// Clients that are closed within the moment leave no timer that tells them of it.
func TestCloseWithinTheMoment(t *testing.T) {
	withFleet(t, 3, nil, func(w *fleet) {
		var sessions []*transport.Session
		for _, one := range w.providers {
			sessions = append(sessions, one.session(0))
		}
		for _, s := range sessions {
			s.GoAway("all at once")
		}
		synctest.Wait()
		say(t, w.client)
		if err := w.client.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
	})
}
