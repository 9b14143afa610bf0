package main

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
)

func TestKilledListenerResetsAndSaysNothing(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &mortalListener{Listener: inner, closed: make(chan struct{})}
	accepted := make(chan error)
	go func() {
		for {
			_, err := ln.Accept()
			accepted <- err
			if err != nil {
				return
			}
		}
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}

	ln.kill()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer read %v, want a reset", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a dial after that: %v, want refused", err)
	}
	select {
	case err := <-accepted:
		t.Errorf("Accept told the server: %v", err)
	default:
	}
	_ = ln.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}

func TestKilledProviderStaysListed(t *testing.T) {
	r := memory.NewRegistry("demo")
	defer r.Close()
	p, err := startProvider("demo", "127.0.0.1:0", r)
	if err != nil {
		t.Fatal(err)
	}
	if err := awaitProviders(t.Context(), r, 1); err != nil {
		t.Fatal(err)
	}
	p.listener.kill()
	list, _, err := r.Providers(t.Context())
	if err != nil || len(list) != 1 || list[0].ProviderKey != p.key {
		t.Errorf("listed: %v, %v", list, err)
	}
	again, err := startProvider("demo", p.addr, r)
	if err != nil {
		t.Fatalf("the address of a killed provider is not free: %v", err)
	}
	for _, p := range []*provider{p, again} {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}
}

// A paused provider takes connections and bytes, and does nothing with them.
func TestPausedListenerIsSilent(t *testing.T) {
	r := memory.NewRegistry("demo")
	defer r.Close()
	p, err := startProvider("demo", "127.0.0.1:0", r)
	if err != nil {
		t.Fatal(err)
	}
	p.listener.pause()
	p.listener.pause()
	op := client.Option{RequestTimeout: 50 * time.Millisecond}
	impatient, err := client.NewRPCClient("tcp", p.addr, &op)
	if err != nil {
		t.Fatal(err)
	}
	defer impatient.Close()
	op.RequestTimeout = time.Minute
	patient, err := client.NewRPCClient("tcp", p.addr, &op)
	if err != nil {
		t.Fatal(err)
	}
	defer patient.Close()
	ctx := client.With(t.Context(), client.Tags(map[string]string{idcTag: homeIDC}))
	waiting := patient.Go(ctx, "ArithService.Add", &operands{A: 1, B: 2}, new(result), nil)
	if err := impatient.Call(ctx, "ArithService.Add", &operands{A: 1, B: 2}, nil); protocol.OutcomeOf(err) != protocol.MaybeRun {
		t.Errorf("a call to a paused provider: %v", err)
	}
	select {
	case <-waiting.Done:
		t.Errorf("a paused provider answered: %v", waiting.Error)
	default:
	}
	p.listener.resume()
	p.listener.resume()
	if <-waiting.Done; waiting.Error != nil || waiting.Reply.(*result).C != 3 {
		t.Errorf("when it was resumed: %v, %v", waiting.Reply, waiting.Error)
	}
	p.listener.pause() // it ends all the same
	if err := p.close(); err != nil {
		t.Error(err)
	}
}
