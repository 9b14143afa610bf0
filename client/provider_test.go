package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// provider is the least that serves: sessions with a dispatcher on them.
type provider struct {
	t       testing.TB
	ln      net.Listener
	workers transport.Workers
	table   endpoint.Table
	cfg     transport.SessionConfig
	wg      sync.WaitGroup

	accepted atomic.Int32                   // connections
	calls    atomic.Int32                   // of Echo.Say
	goaway   atomic.Bool                    // new connections are told to go
	refusal  atomic.Pointer[protocol.Error] // of every request, before it runs

	mu sync.Mutex
	// Guarded by mu:
	sessions []*transport.Session
	hellos   []protocol.Header
}

type text struct{ S string }

// listenMem starts a provider on a network in memory.
func listenMem(t testing.TB, n *transport.MemNetwork, addr string) *provider {
	t.Helper()
	ln, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, ln)
}

func serve(t testing.TB, ln net.Listener) *provider {
	t.Helper()
	p := &provider{t: t, ln: ln}
	d := &endpoint.Dispatcher{Methods: &p.table, OnHello: func(_ *transport.Session, h *protocol.Header) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hellos = append(p.hellos, *h)
	}}
	d.Admission = func(context.Context, *protocol.Header, int) error {
		if e := p.refusal.Load(); e != nil {
			return e
		}
		return nil
	}
	p.cfg = transport.SessionConfig{Handler: d, Workers: &p.workers, Intern: p.table.Intern}
	p.handle("Echo.Say", func(_ context.Context, req *text) (*text, error) {
		p.calls.Add(1)
		return &text{S: req.S}, nil
	})
	p.handle("Echo.Who", func(context.Context, *text) (*text, error) {
		return &text{S: ln.Addr().String()}, nil
	})
	p.handle("Echo.Hang", func(ctx context.Context, _ *text) (*text, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	p.handle("Echo.Slow", func(ctx context.Context, req *text) (*text, error) {
		d, err := time.ParseDuration(req.S)
		if err != nil {
			return nil, err
		}
		time.Sleep(d)
		return &text{S: "slept " + req.S}, nil
	})
	p.handle("Echo.Meta", func(ctx context.Context, req *text) (*text, error) {
		v, _ := protocol.MetaValue(ctx, req.S)
		return &text{S: v}, nil
	})
	p.cfg.OnStart = p.sendAway
	p.wg.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

func (p *provider) handle(name string, f func(context.Context, *text) (*text, error)) {
	p.t.Helper()
	if err := p.table.Handle(name, endpoint.NewTyped(f)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *provider) accept() {
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.accepted.Add(1)
		s, err := p.start(conn)
		if err != nil {
			p.t.Errorf("session: %v", err)
			continue
		}
		p.sendAway(s) // a handler may have run already, and told all others to go
	}
}

// start makes a session that is among p.sessions before anybody can have heard of it.
func (p *provider) start(conn net.Conn) (*transport.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := transport.NewSession(conn, &p.cfg)
	if err == nil {
		p.sessions = append(p.sessions, s)
	}
	return s, err
}

// sendAway tells a new connection to go before anything is read on it.
func (p *provider) sendAway(s *transport.Session) {
	if p.goaway.Load() {
		s.GoAway("shutting down")
	}
}

func (p *provider) session(i int) *transport.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[i]
}

func (p *provider) hello(i int) protocol.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hellos[i]
}

// leave says goaway on every connection, and will on every new one.
func (p *provider) leave() {
	p.goaway.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		s.GoAway("shutting down")
	}
}

// stop ends everything now. It may be called more than once.
func (p *provider) stop() {
	_ = p.ln.Close()
	p.wg.Wait()
	p.mu.Lock()
	sessions := p.sessions
	p.mu.Unlock()
	for _, s := range sessions {
		_ = s.Close()
	}
	p.workers.Close()
}

// dialMem returns a client of addr on n that is closed at the end of the test.
func dialMem(t testing.TB, n *transport.MemNetwork, addr string, op client.Option) client.RPCClient {
	t.Helper()
	op.Mem = n
	c, err := client.NewRPCClient("mem", addr, &op)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// say calls Echo.Say and fails the test if that does not answer.
func say(t testing.TB, c client.Caller) {
	t.Helper()
	resp, err := client.Invoke[text](context.Background(), c, "Echo.Say", &text{S: "hello"})
	if err != nil {
		t.Fatalf("Echo.Say: %v", err)
	}
	if resp.S != "hello" {
		t.Fatalf("Echo.Say answered %q", resp.S)
	}
}

// wantError fails the test unless err has this code and outcome, and text in it.
func wantError(t testing.TB, err error, code protocol.Code, outcome protocol.Outcome, text string) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) || err != error(e) {
		t.Fatalf("got %T %v, want a *protocol.Error", err, err)
	}
	if e.Code != code || protocol.OutcomeOf(err) != outcome {
		t.Errorf("got %v with outcome %v, want %v with %v", err, protocol.OutcomeOf(err), code, outcome)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("error %q does not say %q", err, text)
	}
}
