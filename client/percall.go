package client

import (
	"context"
	"maps"
	"strings"

	"github.com/sinew-rpc/sinew/protocol"
)

// CallOption is something that With says of a call.
type CallOption func(*perCall)

// perCall is what one call asks for beyond the client's options. It does not
// change once it is in a context.
type perCall struct {
	idempotent bool
	hedge      bool
	key        string
	tags       map[string]string
	priority   int
	meta       map[string]string // tags and priority as they travel
	replyMeta  *map[string]string
	err        error // of an option that cannot be used: the call fails with it
}

type perCallKey struct{}

// noPerCall is what a call asks for that asks for nothing.
var noPerCall perCall

// perCallOf returns what ctx asks for, never nil.
func perCallOf(ctx context.Context) *perCall {
	if p, ok := ctx.Value(perCallKey{}).(*perCall); ok {
		return p
	}
	return &noPerCall
}

// With returns a context whose calls are made as opts say, beside what ctx says
// already. It costs one context value however many options there are.
func With(ctx context.Context, opts ...CallOption) context.Context {
	next := *perCallOf(ctx)
	for _, o := range opts {
		o(&next)
	}
	return context.WithValue(ctx, perCallKey{}, &next)
}

// Idempotent says that the method may run more than once without harm. Fail
// modes that try again after an attempt that may have run do so only then;
// FailFast never tries again.
func Idempotent() CallOption { return func(p *perCall) { p.idempotent = true } }

// Hedge allows a second attempt beside one that is slow. It implies
// Idempotent. FailFast, which makes one attempt, does not use it.
func Hedge() CallOption { return func(p *perCall) { p.hedge, p.idempotent = true, true } }

// Key asks for affinity: selectors that hash send equal keys to the same
// provider. Others do not look at it.
func Key(key string) CallOption { return func(p *perCall) { p.key = key } }

// Tags adds to the client's tags for a call: only providers that have all of
// them are chosen, and they travel with the request. They count whether or not
// SGOption.Tagged is set. Keys are [a-z0-9._-]+, values hold no CR, LF or NUL;
// else the call fails with InvalidArgument, NotSent. m is copied.
func Tags(m map[string]string) CallOption {
	return func(p *perCall) {
		merged := make(map[string]string, len(p.tags)+len(m))
		maps.Copy(merged, p.tags)
		maps.Copy(merged, m)
		p.tags = merged
		p.travelWith("client.Tags")
	}
}

// Priority says how much the call matters, from protocol.MinPriority to
// protocol.MaxPriority: a server that must refuse calls refuses lower ones
// first. The default is 0; a number out of range fails the call with
// InvalidArgument, NotSent.
func Priority(n int) CallOption {
	return func(p *perCall) {
		if n < protocol.MinPriority || n > protocol.MaxPriority {
			if p.err == nil {
				p.err = invalid("client.Priority: %d is not from %d to %d", n, protocol.MinPriority, protocol.MaxPriority)
			}
			return
		}
		p.priority = n
		p.travelWith("client.Priority")
	}
}

// travelWith makes the metadata that the call takes along; option is who asks.
func (p *perCall) travelWith(option string) {
	p.meta = tagMeta(p.tags)
	if p.priority != 0 {
		if p.meta == nil {
			p.meta = make(map[string]string, 1)
		}
		p.meta[protocol.MetaPriority] = protocol.FormatPriority(p.priority)
	}
	if err := protocol.CheckMeta(p.meta); err != nil && p.err == nil {
		p.err = invalid("%s: %w", option, err)
	}
}

// ReplyMeta has the metadata of the reply stored in into, without the keys of
// the framework; nil when the reply brought none. It is written once, by the
// attempt that succeeded, before the call returns; after an error it is as it
// was, and the error has the metadata. Two calls that run at one time need two
// of them.
func ReplyMeta(into *map[string]string) CallOption { return func(p *perCall) { p.replyMeta = into } }

// tagMeta returns tags under the keys that they travel with, nil for none.
func tagMeta(tags map[string]string) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	meta := make(map[string]string, len(tags))
	for k, v := range tags {
		meta[protocol.MetaTagPrefix+k] = v
	}
	return meta
}

// withoutReserved removes the framework's keys from m, nil when none is left.
func withoutReserved(m map[string]string) map[string]string {
	maps.DeleteFunc(m, func(k, _ string) bool { return strings.HasPrefix(k, protocol.MetaReserved) })
	if len(m) == 0 {
		return nil
	}
	return m
}
