package client_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

// forgetful is a world whose registry loses and finds entries, as it is told.
type forgetful struct {
	*testing.T
	net      *transport.MemNetwork
	registry *unready
	client   client.SGClient
	provider *provider // at "a"
}

// forget runs f in a bubble, with a client that is connected to one provider.
func forget(t *testing.T, change func(*client.SGOption), f func(*forgetful)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &forgetful{T: t, net: transport.NewMemNetwork(), registry: &unready{}}
		w.provider = listenMem(w, w.net, "a")
		w.lists(nil, at("a"))
		w.client = newSG(t, w.net, w.registry, func(op *client.SGOption) {
			op.AllowLocal, op.AppKey = true, "app"
			op.HeartbeatInterval = time.Second
			if change != nil {
				change(op)
			}
		})
		say(w, w.client)
		f(w)
		_ = w.registry.Close()
	})
}

func at(addr string) registry.Provider {
	return registry.Provider{ProviderKey: "mem@" + addr, Network: "mem", Addr: addr}
}

// lists makes ps the registry's list, and left those who unregistered.
func (w *forgetful) lists(left []string, ps ...registry.Provider) {
	w.Helper()
	w.registry.Publish(ps, registry.State{Status: registry.Fresh}, left...)
	synctest.Wait()
}

// status returns how the client stands with the provider, nil without it.
func (w *forgetful) status() *client.ProviderStatus {
	for _, s := range w.client.Providers() {
		if s.Provider.ProviderKey == "mem@a" {
			return &s
		}
	}
	return nil
}

// wantKept checks that the provider is called, though it is not listed, on the
// connection that was there.
func (w *forgetful) wantKept() {
	w.Helper()
	if s := w.status(); s == nil || !s.Unlisted || s.State != client.Connected {
		w.Fatalf("the provider is %+v, want it kept", s)
	}
	say(w, w.client)
	if n := w.provider.accepted.Load(); n != 1 {
		w.Fatalf("%d connections were made", n)
	}
}

// wantGone checks that the provider is called no more.
func (w *forgetful) wantGone() {
	w.Helper()
	synctest.Wait()
	if s := w.status(); s != nil {
		w.Fatalf("the provider is still there: %+v", s)
	}
	calls, dials := w.provider.calls.Load(), w.provider.accepted.Load()
	err := w.client.Call(context.Background(), "Echo.Say", &text{}, nil)
	wantError(w, err, protocol.Unavailable, protocol.NotSent, "lists no provider")
	if w.provider.calls.Load() != calls || w.provider.accepted.Load() != dials {
		w.Error("a provider that is gone was called or dialled")
	}
}

// The registry lost all entries, for an hour: calls go on, on the connections
// that answer, and these are what is used when the entries come back.
func TestVanishedProviderIsCalledOn(t *testing.T) {
	forget(t, nil, func(w *forgetful) {
		w.lists(nil)
		for range 60 {
			w.wantKept()
			time.Sleep(time.Minute)
		}
		changed := at("a")
		changed.Weight = 7
		w.lists(nil, changed)
		say(w, w.client)
		if s := w.status(); s.Unlisted || s.Provider.Weight != 7 || w.provider.accepted.Load() != 1 {
			w.Errorf("listed again it is %+v, on %d connections", s, w.provider.accepted.Load())
		}
		w.lists(nil) // and once more
		w.wantKept()
	})
}

// A provider that is not listed and does not answer either is gone, whichever of
// both came first.
func TestVanishedProviderThatWasSilentBefore(t *testing.T) {
	forget(t, nil, func(w *forgetful) {
		w.net.SetFaults(transport.MemFaults{ToListener: transport.MemPath{Stall: true}})
		time.Sleep(time.Duration(client.DefaultSGOption.HeartbeatDegradeThreshold+1) * time.Second)
		synctest.Wait()
		if s := w.status(); s == nil || s.State != client.Degraded {
			w.Fatalf("the provider is %+v, want it degraded", s)
		}
		w.lists(nil)
		w.wantGone()
	})
}

// Connections that become old are replaced, though the provider is listed no more.
func TestVanishedProviderIsCalledOnWhenItsConnectionsBecomeOld(t *testing.T) {
	forget(t, nil, func(w *forgetful) {
		w.net.SetFaults(transport.BothWays(transport.MemPath{Latency: time.Millisecond}))
		w.lists(nil)
		for i := range 6 {
			time.Sleep(10 * time.Minute)
			w.provider.session(i).Renew("it is old")
			if i%2 == 0 { // during the dial too
				time.Sleep(1500 * time.Microsecond)
			}
			w.lists(nil)
			say(w, w.client)
			time.Sleep(time.Second)
			if s := w.status(); s == nil || !s.Unlisted || s.State != client.Connected || s.Excluded != nil {
				w.Fatalf("the provider is %+v, want it kept", s)
			}
			if n := int(w.provider.accepted.Load()); n != i+2 {
				w.Fatalf("%d connections after %d became old", n, i+1)
			}
		}
	})
}

// One that asks for another connection and then is not there, or leaves, is gone.
func TestVanishedProviderThatCannotBeRenewedGoes(t *testing.T) {
	for _, test := range []struct {
		name  string
		leave func(w *forgetful)
	}{
		{"it leaves", func(w *forgetful) { w.provider.goaway.Store(true) }},
		{"nobody listens", func(w *forgetful) { _ = w.provider.ln.Close() }},
		{"its host is not there", func(w *forgetful) { w.net.SetFaultsAt("a", transport.MemFaults{HangDials: true}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			forget(t, nil, func(w *forgetful) {
				w.lists(nil)
				w.wantKept()
				test.leave(w)
				w.provider.session(0).Renew("it is old")
				time.Sleep(client.DefaultDialTimeout)
				w.wantGone()
			})
		})
	}
}

// Who is connected is kept, who is not is not: nobody dials what is not listed.
func TestVanishedProviderWithoutConnectionIsGone(t *testing.T) {
	forget(t, nil, func(w *forgetful) {
		idle := listenMem(w, w.net, "b")
		w.lists(nil, at("a"), at("b"))
		w.lists(nil)
		w.wantKept()
		if got := w.client.Providers(); len(got) != 1 {
			w.Errorf("Providers: %+v", got)
		}
		for range 100 {
			say(w, w.client)
		}
		if idle.accepted.Load() != 0 {
			w.Error("a provider that is not listed was dialled")
		}
	})
}

func TestVanishedProviderGoes(t *testing.T) {
	for _, test := range []struct {
		name  string
		leave func(w *forgetful)
		after time.Duration
	}{
		{"when it says goaway", func(w *forgetful) { w.provider.leave() }, 0},
		{"when its process dies", func(w *forgetful) { w.provider.stop() }, 0},
		{"when its connection is reset", func(w *forgetful) { w.net.Cut("a") }, 0},
		{"when heartbeats are not answered", func(w *forgetful) {
			w.net.SetFaultsAt("a", transport.BothWays(transport.MemPath{Blackhole: true}))
		}, 4 * time.Second}, // an interval of quiet, then three heartbeats of an interval each
		{"when it unregisters later", func(w *forgetful) { w.lists([]string{"mem@a"}) }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			forget(t, nil, func(w *forgetful) {
				w.lists(nil)
				w.wantKept()
				test.leave(w)
				if test.after > 0 {
					time.Sleep(test.after - time.Nanosecond)
					synctest.Wait()
					if w.status() == nil {
						w.Errorf("it is gone before %v", test.after)
					}
					time.Sleep(time.Nanosecond)
				}
				w.wantGone()
			})
		})
	}
}

// What the registry knows to have left, or to be about to, is not called on.
func TestProviderThatLeftIsDroppedAtOnce(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*client.SGOption)
		leave  func(w *forgetful)
	}{
		{"it unregistered", nil, func(w *forgetful) { w.lists([]string{"mem@a"}) }},
		{"it was draining", nil, func(w *forgetful) {
			draining := at("a")
			draining.Draining = true
			w.lists(nil, draining)
			w.lists(nil)
		}},
		{"it said goaway before", nil, func(w *forgetful) {
			w.provider.leave()
			synctest.Wait()
			w.lists(nil)
		}},
		{"nobody asks whether it lives", func(op *client.SGOption) { op.Heartbeat = false }, func(w *forgetful) { w.lists(nil) }},
		{"nobody would believe that it died", func(op *client.SGOption) { op.HeartbeatDegradeThreshold = -1 }, func(w *forgetful) { w.lists(nil) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			forget(t, test.change, func(w *forgetful) {
				test.leave(w)
				w.wantGone()
			})
		})
	}
}

// It went while it was not listed; whoever is listed there later is dialled.
func TestVanishedProviderGoesAndComesBack(t *testing.T) {
	forget(t, nil, func(w *forgetful) {
		w.lists(nil)
		w.provider.stop()
		w.wantGone()
		again := listenMem(w, w.net, "a")
		w.lists(nil, at("a"))
		say(w, w.client)
		if s := w.status(); s == nil || s.Unlisted || s.State != client.Connected || again.calls.Load() != 1 {
			w.Errorf("the successor is %+v, and got %d calls", s, again.calls.Load())
		}
	})
}

// A call that is under way when a kept provider dies is not cut short by the
// list, and one that comes a moment later finds the other provider.
func TestVanishedProviderDiesUnderCalls(t *testing.T) {
	forget(t, nil, func(w *forgetful) {
		w.net.SetFaults(transport.BothWays(transport.MemPath{Latency: time.Millisecond}))
		other := listenMem(w, w.net, "b")
		w.lists(nil, at("a"), at("b"))
		for other.calls.Load() == 0 {
			say(w, w.client)
		}
		w.lists(nil, at("b")) // a is kept
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 100 {
					err := w.client.Call(context.Background(), "Echo.Say", &text{S: "x"}, nil)
					if err != nil && protocol.OutcomeOf(err) != protocol.MaybeRun {
						w.Errorf("%v: %v", protocol.OutcomeOf(err), err)
					}
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		w.provider.stop()
		wg.Wait()
		if n := w.provider.accepted.Load(); n != 1 || w.status() != nil {
			w.Errorf("%d connections to it, which is %+v", n, w.status())
		}
	})
}

// toldStates is what OnStateChange was told.
type toldStates struct {
	mu     sync.Mutex
	states []client.State
}

func (o *toldStates) hook(op *client.SGOption) {
	op.OnStateChange = func(c client.StateChange) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.states = append(o.states, c.State)
	}
}

// want checks what was told until now.
func (o *toldStates) want(t testing.TB, want ...client.State) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.states, want) {
		t.Errorf("states %v, want %v", o.states, want)
	}
}

// Its calls are answered when it goes, and the hook is told of every step.
func TestKeptProviderIsDrained(t *testing.T) {
	var told toldStates
	forget(t, told.hook, func(w *forgetful) {
		w.lists(nil)
		slow := w.client.Go(context.Background(), "Echo.Slow", &text{"700ms"}, new(text), nil)
		synctest.Wait()
		w.provider.leave()
		w.wantGone()
		if <-slow.Done; slow.Error != nil {
			w.Errorf("the call that was running: %v", slow.Error)
		}
		time.Sleep(5 * time.Second)
		if w.provider.session(0).Err() == nil {
			w.Error("the connection is still there")
		}
		if err := w.client.Close(); err != nil && !errors.Is(err, client.ErrClosed) {
			w.Error(err)
		}
		told.want(w, client.Connecting, client.Connected, client.Idle, client.Closed)
	})
}

// A provider that was given up, and whose process goes on after all, stays given up.
func TestKeptProviderThatPausesIsClosedOnce(t *testing.T) {
	var told toldStates
	forget(t, told.hook, func(w *forgetful) {
		w.lists(nil)
		w.net.SetFaultsAt("a", transport.MemFaults{ToListener: transport.MemPath{Stall: true}})
		time.Sleep(4 * time.Second)
		w.wantGone()
		w.net.SetFaultsAt("a", transport.MemFaults{})
		time.Sleep(10 * time.Second)
		if w.provider.session(0).Err() == nil {
			w.Error("the connection is still there")
		}
		_ = w.client.Close()
		told.want(w, client.Connecting, client.Connected, client.Degraded, client.Closed)
	})
}
