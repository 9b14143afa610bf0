package client_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// lastMoment is a listener whose process no longer gets to accept, after so many
// connections: those that come then are in the kernel's queue until it is closed.
type lastMoment struct {
	net.Listener
	accepts int
	once    sync.Once
	shut    chan struct{}
}

func (l *lastMoment) Accept() (net.Conn, error) {
	if l.accepts == 0 {
		<-l.shut
		return nil, net.ErrClosed
	}
	l.accepts--
	return l.Listener.Accept()
}

func (l *lastMoment) Close() error {
	l.once.Do(func() { close(l.shut) })
	return l.Listener.Close()
}

func listenToTheLast(t testing.TB, n *transport.MemNetwork, accepts int) *provider {
	t.Helper()
	ln, err := n.Listen("a")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, &lastMoment{Listener: ln, accepts: accepts, shut: make(chan struct{})})
}

// A call whose connection the closing listener resets, unseen by the server, was
// certainly not run.
func TestACallInTheMomentInWhichAListenerClosesWasNotSent(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(t *testing.T, n *transport.MemNetwork, c client.RPCClient) *provider
	}{
		{"after a goaway", func(t *testing.T, n *transport.MemNetwork, c client.RPCClient) *provider {
			p := listenToTheLast(t, n, 1)
			say(t, c)
			p.session(0).GoAway("it is about to leave")
			synctest.Wait()
			return p
		}},
		{"after a dial that failed", func(t *testing.T, n *transport.MemNetwork, c client.RPCClient) *provider {
			err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
			wantError(t, err, protocol.Unavailable, protocol.NotSent, "refused")
			time.Sleep(100 * time.Millisecond) // the pause
			return listenToTheLast(t, n, 0)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := transport.NewMemNetwork()
				c := dialMem(t, n, "a", client.Option{})
				p := test.before(t, n, c)
				call := c.Go(context.Background(), "Echo.Say", &text{}, nil, nil)
				synctest.Wait() // the connection is there, as far as the client can see
				_ = p.ln.Close()
				<-call.Done
				wantError(t, call.Error, protocol.Unavailable, protocol.NotSent, "cannot be reached")
			})
		})
	}
}

// A process that hangs has its kernel accept connections: calls are told so when a
// dial is given up.
func TestAWaryDialEndsWithDialTimeout(t *testing.T) {
	for _, limit := range []time.Duration{0, 2 * time.Second, -1} {
		synctest.Test(t, func(t *testing.T) {
			n := transport.NewMemNetwork()
			c := dialMem(t, n, "a", client.Option{DialTimeout: limit, RequestTimeout: time.Minute})
			_ = c.Call(context.Background(), "Echo.Say", &text{}, nil)
			time.Sleep(100 * time.Millisecond)
			listenToTheLast(t, n, 0)
			begun := time.Now()
			err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
			wantError(t, err, protocol.Unavailable, protocol.NotSent, "not answered")
			want := limit
			if limit <= 0 {
				want = client.DefaultDialTimeout
			}
			if took := time.Since(begun); took != want {
				t.Errorf("with DialTimeout %v it took %v", limit, took)
			}
			call := c.Go(context.Background(), "Echo.Say", &text{}, nil, nil)
			synctest.Wait()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if <-call.Done; call.Error == nil {
				t.Error("a call on a client that was closed succeeded")
			}
		})
	}
}

// Nobody but who has to pays for the answer.
func TestOnlyAWaryDialTakesARoundTripMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.BothWays(transport.MemPath{Latency: time.Millisecond}))
		p := listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		takes := func(want time.Duration, what string) {
			t.Helper()
			begun := time.Now()
			say(t, c)
			if took := time.Since(begun); took != want {
				t.Errorf("%s: %v, want %v", what, took, want)
			}
		}
		takes(4*time.Millisecond, "the first dial, and the call")
		n.CutAll()
		time.Sleep(time.Second)
		takes(4*time.Millisecond, "a dial after a connection was lost")
		p.session(1).GoAway("come again")
		time.Sleep(time.Second)
		takes(6*time.Millisecond, "a dial after a goaway")
		n.CutAll()
		time.Sleep(time.Second)
		takes(4*time.Millisecond, "the dial after that")
	})
}
