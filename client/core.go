package client

import (
	"context"
	"maps"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/transport"
)

// core is what both kinds of client are made of: settings, the chain, what is
// served to providers, and the goroutines. Its fields do not change once the
// client is made.
type core struct {
	option  SGOption
	workers transport.Workers // every goroutine of the client runs on it
	room    *transport.Room
	stats   transport.Stats
	traffic traffic

	gate gate // what every call goes through first

	table      endpoint.Table // what providers may call
	dispatcher endpoint.Dispatcher

	caller endpoint.Caller // of values
	raw    endpoint.Caller // of messages: without Auth

	chain    CallFunc    // what every call goes through
	attempts AttemptFunc // what every attempt goes through; nil when nobody asked for one

	// closed ends at Close, which then waits for the workers: for calls on them that
	// wait for something else than a connection, and for all in their pauses.
	closed     context.Context
	markClosed context.CancelFunc
}

// newCore takes a completed option. The chain is composed by compose, once
// there is an end for it.
func newCore(option SGOption) *core {
	c := &core{
		option: option,
		room:   transport.NewRoom(option.MaxRequestsInFlight, option.MaxBytesInFlight),
	}
	c.gate.left = make(chan struct{}, 1)
	c.closed, c.markClosed = context.WithCancel(context.Background())
	c.table.CheckType = protocol.CheckTags
	c.dispatcher.Methods = &c.table
	c.dispatcher.MaxElements = option.MaxElements
	c.dispatcher.MaxMessageSize = option.MaxMessageSize
	c.dispatcher.CompressThreshold = option.CompressThreshold
	meta := maps.Clone(option.MetaData)
	if meta == nil {
		meta = make(map[string]string)
	}
	maps.Copy(meta, tagMeta(option.Tags))
	c.raw.Meta = maps.Clone(meta)
	if option.Auth != "" {
		meta[protocol.MetaAuth] = option.Auth
	}
	c.caller.Meta = meta
	for _, caller := range []*endpoint.Caller{&c.caller, &c.raw} {
		caller.Owner = c.closed
		caller.SerializeType = option.SerializeType
		caller.CompressType = option.CompressType
		caller.CompressThreshold = option.CompressThreshold
		caller.MaxElements = option.MaxElements
		caller.MaxMessageSize = option.MaxMessageSize
	}
	return c
}

// compose puts the wrappers round end.
func (c *core) compose(end CallFunc) (err error) {
	if c.attempts, err = wrapAttempts(&c.option); err != nil {
		return err
	}
	c.chain, err = wrapCalls(&c.option, end)
	return err
}

// sessionConfig is that of one connection.
func (c *core) sessionConfig() *transport.SessionConfig {
	return &transport.SessionConfig{
		Handler:        &c.dispatcher,
		Workers:        &c.workers,
		Room:           c.room,
		Intern:         c.table.Intern,
		MaxMessageSize: c.option.MaxMessageSize,
		MaxQueued:      c.option.MaxQueued,
		FrameTimeout:   c.option.FrameTimeout,
		WriteTimeout:   c.option.WriteTimeout,
		Hello:          helloMeta(&c.option.Option),
		OnStart:        c.traffic.began,
		Stats:          &c.stats,
	}
}

// bound gives a call its limit. Where the caller's own is earlier it costs
// nothing, and bounded is nil.
func (c *core) bound(ctx context.Context, limit time.Duration) (_ context.Context, bounded *endpoint.Context) {
	if limit <= 0 {
		return ctx, nil
	}
	if d, ok := ctx.Deadline(); ok && time.Until(d) <= limit {
		return ctx, nil
	}
	bounded = endpoint.Bound(ctx, limit)
	return bounded, bounded
}

// refresh asks the registry for an early list, since a provider could not be
// reached. How often that really happens is bounded by the registry.
func (c *core) refresh() {
	if r, ok := c.option.Registry.(registry.Refresher); ok {
		r.Refresh()
	}
}
