package wrapper

import (
	"context"
	"maps"

	"github.com/google/uuid"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// maxRequestID bounds an id that others chose, in bytes.
const maxRequestID = 128

// RequestID gives each call an id that travels with it as sinew-request-id, so
// that the logs of all who take part in it can be put together; Log prints it.
//
// On a client a call takes the id that client.RequestID says, else that of the
// request in whose handler it is made, else a new one: with this wrapper, and
// only with it, an id goes on to the calls of a handler. On a server a request
// that brings none, or none that is fit for a log, gets one. Put it first in
// the list, so that the wrappers inside know the id.
type RequestID struct {
	server.BaseWrapper

	// New makes an id: at most 128 printable ASCII characters without spaces. It
	// may run concurrently. The default makes a random UUID.
	New func() string
}

var (
	_ client.Wrapper = (*RequestID)(nil)
	_ server.Wrapper = (*RequestID)(nil)
)

// RequestIDFrom returns the id of the call or request that ctx belongs to, ""
// where it has none.
func RequestIDFrom(ctx context.Context) string {
	if id := client.RequestIDFrom(ctx); id != "" {
		return id
	}
	id, _ := protocol.MetaValue(ctx, protocol.MetaRequestID)
	return id
}

// WrapCall implements client.Wrapper.
func (r *RequestID) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		if id := client.RequestIDFrom(ctx); id == "" {
			ctx = client.With(ctx, client.RequestID(r.of(ctx, req)))
		}
		return next(ctx, serviceMethod, req, resp)
	}
}

// of returns the id of a call that was given none: that of the message that is
// passed on, or of the request that is served.
func (r *RequestID) of(ctx context.Context, req any) string {
	if m, ok := req.(*protocol.Message); ok && fitRequestID(m.MetaData[protocol.MetaRequestID]) {
		return m.MetaData[protocol.MetaRequestID]
	}
	if id, _ := protocol.MetaValue(ctx, protocol.MetaRequestID); fitRequestID(id) {
		return id
	}
	return r.new()
}

// WrapHandleRequest implements server.Wrapper.
func (r *RequestID) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		if !fitRequestID(req.MetaData[protocol.MetaRequestID]) {
			meta := make(map[string]string, len(req.MetaData)+1)
			maps.Copy(meta, req.MetaData)
			meta[protocol.MetaRequestID] = r.new()
			req.MetaData = meta
		}
		return next(ctx, req, res)
	}
}

func (r *RequestID) new() string {
	if r.New != nil {
		return r.New()
	}
	return uuid.NewString()
}

// fitRequestID reports whether an id can stand in a log: what others send may
// pretend to be a line of it.
func fitRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}
