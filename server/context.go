package server

import (
	"context"
	"crypto/tls"
	"strings"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// SetReplyMeta adds a pair to the metadata of the reply to the request that ctx
// belongs to, an error included. It fails with InvalidArgument when the pair
// cannot travel (keys are [a-z0-9._-]+ and do not begin with "sinew-", values
// hold no CR, LF or NUL, all together are at most 16 KiB), and with
// FailedPrecondition when ctx belongs to no request. It may be called
// concurrently.
func SetReplyMeta(ctx context.Context, k, v string) error {
	request := endpoint.Incoming(ctx)
	if request == nil {
		return protocol.NewError(protocol.FailedPrecondition, "SetReplyMeta: the context does not belong to a request")
	}
	if strings.HasPrefix(k, protocol.MetaReserved) {
		return protocol.Errorf(protocol.InvalidArgument, "reply metadata: key %.64q: keys that begin with %q are the framework's", k, protocol.MetaReserved)
	}
	return request.SetReplyMeta(k, v)
}

// TLSState returns the TLS state of the connection that ctx belongs to: that of
// a handler, of Admit or of Identify. ok is false when it has none.
func TLSState(ctx context.Context) (state tls.ConnectionState, ok bool) {
	session := transport.FromContext(ctx)
	if session == nil {
		return state, false
	}
	c, ok := session.Conn().(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return state, false
	}
	return c.ConnectionState(), true
}
