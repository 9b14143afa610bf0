package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// drainWorld is two providers, a and b, and who has them drain one after the other.
type drainWorld struct {
	*testing.T
	network *transport.MemNetwork
	fleet   *fleet
	busy    client.RPCClient // a is, with its call
	begun   time.Time
	a, b    *obedient
}

// obedient is a provider that takes orders.
type obedient struct {
	*server.SGServer
	ordered []time.Time
	slow    time.Duration // in taking an order
	left    time.Time     // when it had ended
	ended   chan struct{} // closed then
}

const busyFor = 5 * time.Second

// inDrainWorld runs f in a bubble, where a, which stands still for stands, has a call that
// runs for busyFor.
func inDrainWorld(t *testing.T, option server.Option, stands period, f func(w *drainWorld)) {
	synctest.Test(t, func(t *testing.T) {
		w := &drainWorld{T: t, network: transport.NewMemNetwork(), begun: time.Now()}
		w.a, w.b = w.serve("a", option, stands), w.serve("b", server.Option{}, period{})
		w.fleet = &fleet{
			option:  client.Option{Mem: w.network, RequestTimeout: 3 * time.Second, DialTimeout: 3 * time.Second},
			clients: make(map[string]client.RPCClient),
		}
		defer w.fleet.Close()
		var err error
		if w.busy, err = client.NewRPCClient("mem", "a", &client.Option{Mem: w.network}); err != nil {
			t.Fatal(err)
		}
		defer w.busy.Close()
		w.busy.Go(t.Context(), "Busy.Work", new(Passage), new(Count), nil)
		synctest.Wait()
		f(w)
		if err := errors.Join(w.a.Close(), w.b.Close()); err != nil {
			t.Error(err)
		}
		<-w.a.ended
		<-w.b.ended
	})
}

func (w *drainWorld) serve(addr string, o server.Option, stands period) *obedient {
	w.Helper()
	p := &obedient{ended: make(chan struct{})}
	o.Mem, o.ShutDownWait = w.network, time.Hour
	o.AdminAuthorize = func(context.Context, string) error {
		time.Sleep(p.slow)
		p.ordered = append(p.ordered, time.Now())
		return nil
	}
	var err error
	if p.SGServer, err = server.NewSGServer(&o); err != nil {
		w.Fatal(err)
	}
	if err := server.Handle(p.SGServer, "Busy.Work", func(context.Context, *Passage) (*Count, error) {
		time.Sleep(busyFor)
		return new(Count), nil
	}); err != nil {
		w.Fatal(err)
	}
	ln, err := w.network.Listen(addr)
	if err != nil {
		w.Fatal(err)
	}
	go func() {
		_ = p.ServeListener(&delaying{ln, w.begun, stands}, nil) // ErrServerClosed
		p.left = time.Now()
		close(p.ended)
	}()
	<-p.Listening()
	return p
}

// period is a time since the beginning of a test.
type period struct{ from, to time.Duration }

// delaying is the listener of a process that stands still for a while: the kernel takes
// connections, and nobody else.
type delaying struct {
	net.Listener
	begun  time.Time
	stands period
}

// Accept implements net.Listener.
func (l *delaying) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if since := time.Since(l.begun); since > l.stands.from && since < l.stands.to {
		time.Sleep(l.stands.to - since)
	}
	return c, err
}

// drainBoth has a and then b drain, in ten minutes at most.
func (w *drainWorld) drainBoth() (out string, err error) {
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Minute)
	defer cancel()
	var said strings.Builder
	err = w.fleet.drainAll(ctx, []registry.Provider{
		{ProviderKey: "mem@a", Network: "mem", Addr: "a"},
		{ProviderKey: "mem@b", Network: "mem", Addr: "b"},
	}, &said)
	return said.String(), err
}

// wantOneAfterTheOther checks that b was asked when a had left.
func (w *drainWorld) wantOneAfterTheOther(err error) {
	w.Helper()
	if err != nil {
		w.Error(err)
	}
	<-w.a.ended
	left := w.a.left
	if took := left.Sub(w.begun); took < busyFor {
		w.Errorf("a left after %v", took)
	}
	if len(w.b.ordered) != 1 || w.b.ordered[0].Before(left) {
		w.Errorf("a left at %v, b was asked at %v", left, w.b.ordered)
	}
}

// wantNotAsked checks that b was not asked, as err says.
func (w *drainWorld) wantNotAsked(err error, says string) {
	w.Helper()
	if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "Not asked to drain: mem@b.") {
		w.Errorf("%v; want that it says %q, and who was not asked", err, says)
	}
	if len(w.b.ordered) > 0 {
		w.Errorf("b was asked at %v", w.b.ordered)
	}
}

// A look at one that drains which is not answered in time says nothing.
func TestDrainOfOneThatStandsStill(t *testing.T) {
	inDrainWorld(t, server.Option{}, period{time.Second, 4500 * time.Millisecond}, func(w *drainWorld) {
		_, err := w.drainBoth()
		w.wantOneAfterTheOther(err)
	})
}

// The address may go with the provider, so that a dial is not even refused.
func TestDrainOfOneWhoseAddressGoes(t *testing.T) {
	inDrainWorld(t, server.Option{}, period{}, func(w *drainWorld) {
		time.AfterFunc(busyFor-50*time.Millisecond, func() { w.network.SetFaultsAt("a", transport.MemFaults{HangDials: true}) })
		_, err := w.drainBoth()
		w.wantOneAfterTheOther(err)
	})
}

// One dial that is not answered is no sign.
func TestDrainOfOneThatIsOutOfReachForAMoment(t *testing.T) {
	inDrainWorld(t, server.Option{}, period{}, func(w *drainWorld) {
		time.AfterFunc(time.Second, func() { w.network.SetFaultsAt("a", transport.MemFaults{HangDials: true}) })
		time.AfterFunc(2*time.Second, func() { w.network.SetFaultsAt("a", transport.MemFaults{}) })
		_, err := w.drainBoth()
		w.wantOneAfterTheOther(err)
	})
}

func TestDrainOfOneThatDrainsAlready(t *testing.T) {
	inDrainWorld(t, server.Option{}, period{}, func(w *drainWorld) {
		go func() { _ = w.a.Shutdown(w.Context()) }() // what it cuts off is not asked here
		synctest.Wait()
		out, err := w.drainBoth()
		w.wantOneAfterTheOther(err)
		wantText(t, "the output", out, "mem@a takes no orders, as one that drains")
	})
}

func TestDrainWhoseAnswerIsLost(t *testing.T) {
	inDrainWorld(t, server.Option{}, period{}, func(w *drainWorld) {
		w.a.slow = 4 * time.Second
		_, err := w.drainBoth()
		w.wantNotAsked(err, "mem@a: ")
	})
}

// One without room for a connection answers as one that drains. It takes the order when
// it has room again.
func TestDrainOfOneThatIsFull(t *testing.T) {
	inDrainWorld(t, server.Option{MaxConnections: 1}, period{}, func(w *drainWorld) {
		time.AfterFunc(2*busyFor, func() { _ = w.busy.Close() }) // returns nil
		_, err := w.drainBoth()
		w.wantOneAfterTheOther(err)
		if len(w.a.ordered) != 1 {
			w.Errorf("a was asked at %v", w.a.ordered)
		}
	})
}

// Where one that drained already is restarted at once, nobody refuses a dial.
func TestDrainOfOneThatIsRestarted(t *testing.T) {
	inDrainWorld(t, server.Option{}, period{}, func(w *drainWorld) {
		go func() { _ = w.a.Shutdown(w.Context()) }() // what it cuts off is not asked here
		synctest.Wait()
		successor := make(chan *obedient, 1)
		go func() {
			<-w.a.ended
			successor <- w.serve("a", server.Option{}, period{})
		}()
		_, err := w.drainBoth()
		w.wantOneAfterTheOther(err)
		if after := time.Since(w.a.left); after > time.Minute {
			w.Errorf("b was asked %v after a had left", after)
		}
		next := <-successor
		if len(next.ordered) > 0 {
			w.Errorf("the successor was asked at %v", next.ordered)
		}
		_ = next.Close() // returns nil
		<-next.ended
	})
}

// A proxy takes connections for nobody.
func TestDrainBehindAProxy(t *testing.T) {
	inDrainWorld(t, server.Option{}, period{}, func(w *drainWorld) {
		proxied := make(chan net.Listener, 1)
		go func() {
			<-w.a.ended
			ln, err := w.network.Listen("a")
			if err != nil {
				w.Error(err)
			}
			proxied <- ln
			for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
				_ = c.Close() // as a proxy does
			}
		}()
		_, err := w.drainBoth()
		w.wantNotAsked(err, "mem@a has not left within 2m0s")
		if took := time.Since(w.begun); took > 2*time.Minute+time.Second {
			w.Errorf("it took %v", took)
		}
		_ = (<-proxied).Close() // it ends the proxy
	})
}

func TestDrainThatIsInterrupted(t *testing.T) {
	inDrainWorld(t, server.Option{}, period{}, func(w *drainWorld) {
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		err := w.fleet.drainAll(ctx, []registry.Provider{
			{ProviderKey: "mem@a", Network: "mem", Addr: "a"}, {ProviderKey: "mem@b", Network: "mem", Addr: "b"},
		}, new(strings.Builder))
		w.wantNotAsked(err, context.DeadlineExceeded.Error())
		if protocol.CodeOf(err) != protocol.DeadlineExceeded {
			w.Errorf("%v has not the cause of the context's end", err)
		}
	})
}
