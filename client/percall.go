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
	meta       map[string]string // of the framework's keys, as it travels; replaced, never changed
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

// Idempotent says that the method may run more than once without harm, as
// SGOption.Idempotent does. Fail modes that try again after an attempt that may
// have run do so only then; FailFast and FailSafe never try again.
func Idempotent() CallOption { return func(p *perCall) { p.idempotent = true } }

// Hedge allows a second attempt beside one that is slow, as SGOption.Hedged does.
// It implies Idempotent. FailFast and FailSafe, which make one attempt, do not use
// it.
func Hedge() CallOption { return func(p *perCall) { p.hedge, p.idempotent = true, true } }

// Key asks for affinity: selectors that hash send equal keys to the same
// provider. Others do not look at it.
func Key(key string) CallOption { return func(p *perCall) { p.key = key } }

// Tags adds to the client's tags for a call, and takes the place of those with
// the same key: only providers that have all of them are chosen, and they travel
// with the request. They count whether or not SGOption.Tagged is set. Keys are [a-z0-9._-]+, values hold no CR, LF or NUL;
// else the call fails with InvalidArgument, NotSent. m is copied.
func Tags(m map[string]string) CallOption {
	return func(p *perCall) {
		merged := make(map[string]string, len(p.tags)+len(m))
		maps.Copy(merged, p.tags)
		maps.Copy(merged, m)
		p.tags = merged
		p.carry("client.Tags", tagMeta(m))
	}
}

// Priority says how much the call matters, from protocol.MinPriority to
// protocol.MaxPriority: a server that must refuse calls refuses lower ones
// first. The default is 0; a number out of range fails the call with
// InvalidArgument, NotSent.
func Priority(n int) CallOption {
	return func(p *perCall) {
		if n < protocol.MinPriority || n > protocol.MaxPriority {
			p.fail(invalid("client.Priority: %d is not from %d to %d", n, protocol.MinPriority, protocol.MaxPriority))
			return
		}
		if n == 0 { // what none says too
			p.meta = maps.Clone(p.meta)
			delete(p.meta, protocol.MetaPriority)
			return
		}
		p.carry("client.Priority", map[string]string{protocol.MetaPriority: protocol.FormatPriority(n)})
	}
}

// Auth has a call bring token instead of Option.Auth. It is how a token that
// expires is sent: see wrapper.TokenSource. A token that holds CR, LF or NUL
// fails the call with InvalidArgument, NotSent.
func Auth(token string) CallOption {
	return func(p *perCall) {
		if protocol.CheckMeta(map[string]string{protocol.MetaAuth: token}) != nil {
			p.fail(invalid("client.Auth: the token holds CR, LF or NUL, or is too long")) // and is not shown
			return
		}
		p.carry("client.Auth", map[string]string{protocol.MetaAuth: token})
	}
}

// RequestID names a call for logs, on its way through all who serve it: see
// wrapper.RequestID. An id that holds CR, LF or NUL fails the call with
// InvalidArgument, NotSent.
func RequestID(id string) CallOption {
	return func(p *perCall) { p.carry("client.RequestID", map[string]string{protocol.MetaRequestID: id}) }
}

// RequestIDFrom returns what RequestID said in ctx, "" where it said nothing. The
// id of a request that is being served is protocol.MetaValue's.
func RequestIDFrom(ctx context.Context) string { return perCallOf(ctx).meta[protocol.MetaRequestID] }

// carry adds keys of the framework to what a call brings.
func (p *perCall) carry(who string, more map[string]string) {
	next := make(map[string]string, len(p.meta)+len(more))
	maps.Copy(next, p.meta)
	maps.Copy(next, more)
	p.meta = next
	if err := protocol.CheckMeta(next); err != nil {
		p.fail(invalid("%s: %w", who, err))
	}
}

// fail has the call fail with the first error of its options.
func (p *perCall) fail(err error) {
	if p.err == nil {
		p.err = err
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

// tagsOfMessage returns the tags that a message brings along, nil for none.
func tagsOfMessage(m *protocol.Message) (tags map[string]string) {
	for k, v := range m.MetaData {
		if tag, ok := strings.CutPrefix(k, protocol.MetaTagPrefix); ok {
			if tags == nil {
				tags = make(map[string]string)
			}
			tags[tag] = v
		}
	}
	return tags
}

// withoutReserved removes the framework's keys from m, nil when none is left.
func withoutReserved(m map[string]string) map[string]string {
	maps.DeleteFunc(m, func(k, _ string) bool { return strings.HasPrefix(k, protocol.MetaReserved) })
	if len(m) == 0 {
		return nil
	}
	return m
}
