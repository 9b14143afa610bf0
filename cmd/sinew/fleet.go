package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
)

// fleet asks providers, each over one connection that stays.
type fleet struct {
	option  client.Option
	tls     tlsFiles
	tags    map[string]string
	clients map[string]client.RPCClient // by ProviderKey
}

func (t *target) fleet() (*fleet, error) {
	o, err := t.option()
	if err != nil {
		return nil, err
	}
	return &fleet{option: o, tls: t.tls, tags: t.tags, clients: make(map[string]client.RPCClient)}, nil
}

// probe is what one provider answered.
type probe struct {
	provider registry.Provider
	status   protocol.ServerStatus
	took     time.Duration // of the answer
	err      error
}

// state is how the provider is, in a word.
func (p *probe) state() string {
	switch {
	case p.err == nil && p.status.Draining, p.err != nil && protocol.IsDraining(p.err), p.provider.Draining:
		return "draining"
	case p.err == nil:
		return "up"
	}
	if e := (*protocol.Error)(nil); !errors.As(p.err, &e) {
		return "unasked" // no call was made
	}
	switch code := protocol.CodeOf(p.err); {
	case code == protocol.Unauthenticated || code == protocol.PermissionDenied:
		return "denied"
	case protocol.OutcomeOf(p.err) == protocol.NotSent:
		return "down"
	case protocol.IsRemote(p.err):
		return "up" // it answers, if not what was asked
	}
	return "degraded" // it is connected and does not answer in time
}

// probe asks all providers at once how they are; the answers are in their order.
func (f *fleet) probe(ctx context.Context, providers []registry.Provider) []probe {
	probes := make([]probe, len(providers))
	var wg sync.WaitGroup
	for i, p := range providers {
		probes[i].provider = p
		c, err := f.client(p)
		if err != nil {
			probes[i].err = err
			continue
		}
		wg.Go(func() {
			begun := time.Now()
			probes[i].err = f.ask(ctx, c, protocol.MethodStatus, &protocol.StatusRequest{}, &probes[i].status)
			probes[i].took = time.Since(begun)
		})
	}
	wg.Wait()
	return probes
}

// ask makes one call of a provider, with the tags.
func (f *fleet) ask(ctx context.Context, c client.RPCClient, method string, req, resp any) error {
	if len(f.tags) > 0 {
		ctx = client.With(ctx, client.Tags(f.tags))
	}
	return c.Call(ctx, method, req, resp)
}

// client returns the client of one provider, which Close closes.
func (f *fleet) client(p registry.Provider) (client.RPCClient, error) {
	if c := f.clients[p.ProviderKey]; c != nil {
		return c, nil
	}
	if err := f.tls.check(p.Network); err != nil {
		return nil, err
	}
	c, err := client.NewRPCClient(p.Network, p.Addr, &f.option)
	if err == nil {
		f.clients[p.ProviderKey] = c
	}
	return c, err
}

// Close ends all connections.
func (f *fleet) Close() {
	for _, c := range f.clients {
		_ = c.Close() // returns nil
	}
}
