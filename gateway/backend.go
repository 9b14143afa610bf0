package gateway

import (
	"context"

	"github.com/sinew-rpc/sinew/protocol"
)

// Backend is what stands behind a gateway. *server.SGServer and client.SGClient
// are both one. Its methods may run concurrently.
type Backend interface {
	// Do serves one request or oneway whose body is encoded, and returns the
	// response, which is the caller's; for a oneway it is empty. m is neither
	// changed nor kept. A positive m.Timeout bounds the call, and it ends with
	// ctx. The error is a *protocol.Error that knows its outcome.
	Do(ctx context.Context, m *protocol.Message) (*protocol.Message, error)
	// Services lists what can be called, sorted by name.
	Services(ctx context.Context) ([]protocol.ServiceInfo, error)
}
