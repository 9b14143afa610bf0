package server

import (
	"context"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
)

// ServeFunc serves on an address until the server has ended.
type ServeFunc func(network, addr string, meta map[string]string) error

// HandleRequestFunc serves one request whose body is still encoded, and fills
// in res. An error becomes the response. ctx and what is derived from it go on
// to the handler; another context is refused. The body of req, and that of res
// after the call, are lent until the outermost wrapper returns. Calls run
// concurrently.
type HandleRequestFunc func(ctx context.Context, req, res *protocol.Message) error

// Wrapper governs what a server serves. Wrappers stand in Option.Wrappers, the
// first outermost. s is for reading settings when the chain is composed; it may
// be nil in tests of a wrapper.
type Wrapper interface {
	// WrapServe is composed for each Serve and ServeListener, on which it runs.
	WrapServe(s *SGServer, next ServeFunc) ServeFunc
	// WrapHandleRequest is composed once, by NewSGServer. It must call next on
	// the goroutine on which it was called, and not after it has returned.
	WrapHandleRequest(s *SGServer, next HandleRequestFunc) HandleRequestFunc
}

// Admitter is what a Wrapper implements as well to refuse a request by its
// header, before its body is read. Admitters are asked in the order of
// Option.Wrappers; the first error refuses the call, with NotRun.
type Admitter interface {
	// Admit must not wait: what needs I/O belongs in WrapHandleRequest. h and
	// its MetaData are valid until it returns; bodyLen is the body's size in
	// bytes, as it travels. ctx ends with the connection; PeerFrom and TLSState
	// work on it. A panic refuses the call. Calls run concurrently.
	Admit(ctx context.Context, h *protocol.Header, bodyLen int) error
}

// BaseWrapper does nothing. Embed it and write only the half you need.
type BaseWrapper struct{}

var _ Wrapper = BaseWrapper{}

// WrapServe returns next.
func (BaseWrapper) WrapServe(_ *SGServer, next ServeFunc) ServeFunc { return next }

// WrapHandleRequest returns next.
func (BaseWrapper) WrapHandleRequest(_ *SGServer, next HandleRequestFunc) HandleRequestFunc {
	return next
}

// wrapRequests composes the wrappers round core; nil when there are none.
func (s *SGServer) wrapRequests(core HandleRequestFunc) endpoint.HandleFunc {
	if len(s.option.Wrappers) == 0 {
		return nil
	}
	chain := core
	for i := len(s.option.Wrappers) - 1; i >= 0; i-- {
		chain = s.option.Wrappers[i].WrapHandleRequest(s, chain)
	}
	return endpoint.HandleFunc(chain)
}

// wrapServe composes the wrappers round core.
func (s *SGServer) wrapServe(core ServeFunc) ServeFunc {
	for i := len(s.option.Wrappers) - 1; i >= 0; i-- {
		core = s.option.Wrappers[i].WrapServe(s, core)
	}
	return core
}
