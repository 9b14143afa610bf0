package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/selector"
	"github.com/sinew-rpc/sinew/transport"
)

// list registers a provider on mem and fails the test if that cannot be done.
func list(t testing.TB, r *memory.Registry, addr string, tags map[string]string) {
	t.Helper()
	p := registry.Provider{Network: "mem", Addr: addr, Tags: tags, Services: []registry.Service{{
		Name: "Echo", Methods: []registry.Method{{Name: "Say", Request: "text", Response: "text"}},
	}}}
	if err := r.Register(context.Background(), registry.RegisterOption{}, p); err != nil {
		t.Fatal(err)
	}
}

func newSG(t testing.TB, n *transport.MemNetwork, r registry.Registry, change func(*client.SGOption)) client.SGClient {
	t.Helper()
	op := client.DefaultSGOption
	op.Registry, op.Mem = r, n
	if change != nil {
		change(&op)
	}
	c, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestAProviderThatLeavesCostsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		n.SetFaults(transport.BothWays(transport.MemPath{Latency: 2 * time.Millisecond}))
		r := memory.NewRegistry("")
		var providers []*provider
		for i := range 3 {
			addr := fmt.Sprint("p", i)
			providers = append(providers, listenMem(t, n, addr))
			list(t, r, addr, nil)
		}
		c := newSG(t, n, r, nil)
		var wg sync.WaitGroup
		end := time.Now().Add(3 * time.Second)
		for range 20 {
			wg.Go(func() {
				for time.Now().Before(end) {
					say(t, c)
				}
			})
		}
		for i, p := range providers[:2] {
			time.Sleep(500 * time.Millisecond)
			p.leave()
			time.Sleep(200 * time.Millisecond)
			err := r.Unregister(context.Background(), registry.RegisterOption{}, registry.Provider{Network: "mem", Addr: fmt.Sprint("p", i)})
			if err != nil {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
			p.stop()
		}
		wg.Wait()
		for i, p := range providers {
			if p.calls.Load() == 0 {
				t.Errorf("provider %d was never called", i)
			}
		}
	})
}

func TestADeadProviderIsPassedOverAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		r := memory.NewRegistry("")
		listenMem(t, n, "a")
		list(t, r, "a", nil)
		list(t, r, "dead", nil) // listed, and nobody is there
		c := newSG(t, n, r, nil)
		for range 200 {
			say(t, c)
			time.Sleep(time.Millisecond)
		}
		back := listenMem(t, n, "dead")
		for range 2000 {
			say(t, c)
			time.Sleep(10 * time.Millisecond)
		}
		if back.calls.Load() < 100 {
			t.Errorf("the provider that came back got %d calls", back.calls.Load())
		}
	})
}

func TestEveryProviderGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		r := memory.NewRegistry("")
		for i := range 3 {
			list(t, r, fmt.Sprint("dead", i), nil)
		}
		c := newSG(t, n, r, nil)
		err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "3 providers")
	})
}

func TestRemovedProviderFinishesItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		r := memory.NewRegistry("")
		p := listenMem(t, n, "a")
		list(t, r, "a", nil)
		c := newSG(t, n, r, nil)
		slow := c.Go(context.Background(), "Echo.Slow", &text{"700ms"}, new(text), nil)
		synctest.Wait()
		if err := r.Unregister(context.Background(), registry.RegisterOption{}, registry.Provider{Network: "mem", Addr: "a"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "lists no provider")
		if <-slow.Done; slow.Error != nil {
			t.Errorf("the call that was running: %v", slow.Error)
		}
		time.Sleep(time.Second)
		if p.session(0).Err() == nil {
			t.Error("the connection to the removed provider is still there")
		}
	})
}

// unready is a registry that has no list until it is told.
type unready struct{ registry.Feed }

func (*unready) Register(context.Context, registry.RegisterOption, ...registry.Provider) error {
	return nil
}
func (*unready) Unregister(context.Context, registry.RegisterOption, ...registry.Provider) error {
	return nil
}
func (r *unready) Close() error { r.Feed.Close(); return nil }

func TestFirstListIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		r := &unready{}
		c := newSG(t, n, r, func(op *client.SGOption) { op.AllowLocal, op.AppKey = true, "app" })
		begun := time.Now()
		err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.DeadlineExceeded, protocol.NotSent, `registry's first list of the providers of "app"`)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("waited %v", took)
		}
		call := c.Go(context.Background(), "Echo.Say", &text{}, nil, nil)
		time.Sleep(500 * time.Millisecond)
		r.Publish([]registry.Provider{{ProviderKey: "mem@a", Network: "mem", Addr: "a"}}, registry.State{Status: registry.Fresh})
		if <-call.Done; call.Error != nil {
			t.Errorf("the call that waited: %v", call.Error)
		}
		_ = r.Close()
		synctest.Wait()
		say(t, c) // the last list outlives the registry
	})
}

func TestWhoMayBeCalled(t *testing.T) {
	for _, test := range []struct {
		name   string
		listed registry.Provider
		shared bool // the registry is no InProcess one
		change func(*client.SGOption)
		says   string // empty: it is called
	}{
		{"mem from a list in the process", registry.Provider{Network: "mem", Addr: "a"}, false, nil, ""},
		{"mem from a shared registry", registry.Provider{Network: "mem", Addr: "a"}, true, nil, "AllowLocal"},
		{"mem from a shared registry, allowed", registry.Provider{Network: "mem", Addr: "a"}, true,
			func(op *client.SGOption) { op.AllowLocal = true }, ""},
		{"plain with Auth and RequireTLS", registry.Provider{Network: "mem", Addr: "a"}, false,
			func(op *client.SGOption) { op.Auth, op.RequireTLS = "secret", true }, "RequireTLS"},
		{"plain with RequireTLS, whose calls may bring a token", registry.Provider{Network: "mem", Addr: "a"}, false,
			func(op *client.SGOption) { op.RequireTLS = true }, "RequireTLS"},
		{"plain with Auth, RequireTLS and AllowPlain", registry.Provider{Network: "mem", Addr: "a"}, false,
			func(op *client.SGOption) { op.Auth, op.RequireTLS, op.AllowPlain = "secret", true, true }, ""},
		{"unknown network", registry.Provider{Network: "pigeon", Addr: "a"}, false, nil, `unknown network "pigeon"`},
		{"tags that differ", registry.Provider{Network: "mem", Addr: "a", Tags: map[string]string{"idc": "yf"}}, false,
			func(op *client.SGOption) { op.Tagged, op.Tags = true, map[string]string{"idc": "lf"} }, "tags"},
		{"tags that differ, not Tagged", registry.Provider{Network: "mem", Addr: "a", Tags: map[string]string{"idc": "yf"}}, false,
			func(op *client.SGOption) { op.Tags = map[string]string{"idc": "lf"} }, ""},
		{"excluded by a filter", registry.Provider{Network: "mem", Addr: "a"}, false,
			func(op *client.SGOption) { op.Filters = []selector.Filter{nobody{}} }, "Filters[0]"},
		{"draining and alone", registry.Provider{Network: "mem", Addr: "a", Draining: true}, false, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := transport.NewMemNetwork()
				listenMem(t, n, "a")
				var r registry.Registry = registry.NewPeer2PeerRegistry().WithProvider(test.listed)
				if test.shared {
					shared := &unready{}
					test.listed.ProviderKey = "mem@a"
					shared.Publish([]registry.Provider{test.listed}, registry.State{Status: registry.Fresh})
					r = shared
				}
				c := newSG(t, n, r, test.change)
				if test.says == "" {
					say(t, c)
					return
				}
				err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
				wantError(t, err, protocol.Unavailable, protocol.NotSent, test.says)
				if got := c.Providers(); len(got) != 1 || got[0].Excluded == nil || !errors.Is(err, got[0].Excluded) {
					t.Errorf("Providers: %+v", got)
				}
			})
		})
	}
}

type nobody struct{ selector.BaseFilter }

func (nobody) Static(*selector.Node) bool { return false }

func TestTagsOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		r := memory.NewRegistry("")
		for _, addr := range []string{"lf", "yf"} {
			listenMem(t, n, addr)
			list(t, r, addr, map[string]string{"idc": addr})
		}
		c := newSG(t, n, r, nil)
		ctx := client.With(context.Background(), client.Tags(map[string]string{"idc": "yf"}))
		for range 20 {
			resp, err := client.Invoke[text](ctx, c, "Echo.Who", &text{})
			if err != nil || resp.S != "yf" {
				t.Fatalf("answered by %v, %v", resp, err)
			}
		}
		resp, err := client.Invoke[text](ctx, c, "Echo.Meta", &text{"sinew-tag-idc"})
		if err != nil || resp.S != "yf" {
			t.Errorf("the tag travelled as %v, %v", resp, err)
		}
		ctx = client.With(ctx, client.Tags(map[string]string{"gpu": "yes"}))
		err = c.Call(ctx, "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "fits this call")
	})
}

func TestProvidersAndServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		r := memory.NewRegistry("")
		listenMem(t, n, "a")
		list(t, r, "a", nil)
		list(t, r, "dead", nil)
		c := newSG(t, n, r, nil)
		services, err := c.Services(context.Background())
		if err != nil || len(services) != 1 || services[0].Name != "Echo" || services[0].Methods[0].Request != "text" {
			t.Errorf("Services: %+v, %v", services, err)
		}
		for range 20 {
			say(t, c)
		}
		got := c.Providers()
		if len(got) != 2 || got[0].State != client.Connected || got[0].Err != nil || got[1].State != client.Failing || got[1].Err == nil {
			t.Errorf("Providers: %+v", got)
		}
	})
}

func TestDoCarriesMessagesWithoutOwnAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		p := listenMem(t, n, "a")
		c := newSG(t, n, registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{Network: "mem", Addr: "a"}),
			func(op *client.SGOption) { op.Auth = "own" })
		ctx := context.Background()
		resp, err := client.Invoke[text](ctx, c, "Echo.Meta", &text{protocol.MetaAuth})
		if err != nil || resp.S != "own" {
			t.Errorf("a call carried auth %v, %v", resp, err)
		}
		for _, auth := range []string{"", "theirs"} {
			m := &protocol.Message{Header: protocol.Header{ServiceName: "Echo", MethodName: "Meta", SerializeType: protocol.SerializeTypeJSON}}
			m.Body = []byte(`{"S":"sinew-auth"}`)
			if auth != "" {
				m.MetaData = map[string]string{protocol.MetaAuth: auth}
			}
			out, err := c.Do(ctx, m)
			if err != nil || string(out.Body) != `{"S":"`+auth+`"}` {
				t.Errorf("Do with auth %q: %v, %v", auth, out, err)
			}
		}
		oneway := &protocol.Message{Header: protocol.Header{MessageType: protocol.TypeOneway, ServiceName: "Echo", MethodName: "Say"}, Body: []byte{0x80}}
		if out, err := c.Do(ctx, oneway); err != nil || out == nil {
			t.Errorf("Do of a oneway: %v, %v", out, err)
		}
		synctest.Wait()
		if p.calls.Load() != 1 {
			t.Error("the oneway did not run")
		}
		_, err = c.Do(ctx, &protocol.Message{Header: protocol.Header{MessageType: protocol.TypeGoAway}})
		wantError(t, err, protocol.InvalidArgument, protocol.NotSent, "goaway")
	})
}

// A client that starts beside its providers does not fail because they are not
// registered yet; one whose providers have all left fails at once.
func TestFirstProviderIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		r := memory.NewRegistry("app")
		c := newSG(t, n, r, nil)
		begun := time.Now()
		err := c.Call(context.Background(), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.DeadlineExceeded, protocol.NotSent, "of which the registry lists none")
		if took := time.Since(begun); took != client.DefaultRequestTimeout {
			t.Errorf("gave up after %v", took)
		}
		listenMem(t, n, "a")
		p := registry.Provider{Network: "mem", Addr: "a"}
		time.AfterFunc(300*time.Millisecond, func() {
			if err := r.Register(context.Background(), registry.RegisterOption{AppKey: "app"}, p); err != nil {
				t.Error(err)
			}
		})
		begun = time.Now()
		if err := c.Call(context.Background(), "Echo.Say", &text{}, nil); err != nil || time.Since(begun) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if err := r.Unregister(context.Background(), registry.RegisterOption{AppKey: "app"}, p); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begun = time.Now()
		err = c.Call(context.Background(), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.Unavailable, protocol.NotSent, "lists no provider")
		if took := time.Since(begun); took != 0 {
			t.Errorf("failed after %v", took)
		}
	})
}
