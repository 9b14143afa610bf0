package wrapper

import (
	"context"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
)

// MetaData decides what metadata the calls of a client carry beside what their
// context holds. Nothing that a request brought is ever sent on by itself: a
// handler that calls further passes on the keys named in Forward, and no other.
type MetaData struct {
	// Set goes with every call. A key that the context sets too keeps the
	// context's value.
	Set map[string]string
	// Forward names the keys that are copied from the request being served,
	// when a call is made with its handler's context. The context's own value
	// and Set come first.
	Forward []string
}

var _ client.Wrapper = (*MetaData)(nil)

// WrapCall implements client.Wrapper. An invalid key or value fails the call
// with InvalidArgument, outcome NotSent.
func (m *MetaData) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		return next(m.apply(ctx), serviceMethod, req, resp)
	}
}

func (m *MetaData) apply(ctx context.Context) context.Context {
	own := protocol.OutgoingMeta(ctx)
	has := func(k string) bool { _, ok := own[k]; return ok }
	for _, k := range m.Forward {
		v, received := protocol.MetaValue(ctx, k)
		if _, set := m.Set[k]; received && !set && !has(k) {
			ctx = protocol.WithMeta(ctx, k, v)
		}
	}
	for k, v := range m.Set {
		if !has(k) {
			ctx = protocol.WithMeta(ctx, k, v)
		}
	}
	return ctx
}
