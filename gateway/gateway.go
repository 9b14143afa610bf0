package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/protocol"
)

// Gateway is an http.Handler that turns requests into calls of its Backend. All
// methods may run concurrently. Beside the goroutines of net/http it owns one for
// each call that is under way; they end with their calls, and Close waits for
// them.
type Gateway struct {
	backend Backend
	option  Option
	forward *forwarding
	trusted *forwarding // of forward, what a user named: trace context may be anybody's
	room    room
	shapes  shapes
	inquiry *inquiry
	mux     *http.ServeMux                  // what was registered, and serveCalls for all else
	routes  *http.ServeMux                  // what was registered alone: it knows a wrong method
	heads   atomic.Pointer[map[string]bool] // first segments of routes; replaced, never changed
	rest    atomic.Pointer[http.Handler]    // of the pattern "/"; nil: none
	chain   atomic.Pointer[http.Handler]    // middleware round mux; replaced, never changed

	providersAuthorize bool // there is no authoriser of the gateway's own

	running sync.WaitGroup // calls; Add only with mu held and closed false

	mu sync.Mutex
	// Guarded by mu:
	closed     bool
	middleware []Middleware
	chained    int // how many of middleware stand in chain
	bindings   []Binding
}

var _ http.Handler = (*Gateway)(nil)

// New returns a gateway to backend. The error names the field of o that cannot
// be used; o may be nil.
func New(backend Backend, o *Option) (*Gateway, error) {
	if backend == nil {
		return nil, errors.New("gateway: the backend is nil: give it a server or a client of many")
	}
	option, err := o.prepare()
	if err != nil {
		return nil, err
	}
	forward, err := newForwarding(option.Headers)
	if err != nil {
		return nil, err
	}
	trusted, err := newForwarding(beyondDefault(option.Headers))
	if err != nil {
		return nil, err
	}
	g := &Gateway{backend: backend, option: option, forward: forward, trusted: trusted, inquiry: newInquiry(), mux: http.NewServeMux(), routes: http.NewServeMux()}
	if option.Authorize == nil {
		g.option.Authorize, g.providersAuthorize = passAuthorization, true
	}
	g.mux.HandleFunc("/", g.serveCalls)
	g.heads.Store(&map[string]bool{})
	g.room.left.Store(option.MaxBytesInFlight)
	g.Use()
	return g, nil
}

// Services lists what the backend serves, without the framework's own services
// unless Option.Internal shows them.
func (g *Gateway) Services(ctx context.Context) ([]protocol.ServiceInfo, error) {
	all, err := g.backend.Services(ctx)
	if err != nil || g.option.Internal {
		return all, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(s protocol.ServiceInfo) bool { return protocol.IsFrameworkService(s.Name) }), nil
}

// begin counts a call that starts; false when the gateway is closed.
func (g *Gateway) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.running.Add(1)
	}
	return !g.closed
}

// Close takes no further calls, which are answered Unavailable, and waits for
// those that run: end the backend's first, or stop its server. It does not close
// the Backend. It returns nil and may be called more than once.
func (g *Gateway) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.running.Wait()
	return nil
}
