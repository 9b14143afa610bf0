package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sinew-rpc/sinew/protocol"
)

// Middleware stands round a handler. Any of that form will do, from this
// repository or elsewhere.
type Middleware = func(http.Handler) http.Handler

// Use puts middleware round everything that the gateway serves, inside what Use
// put there before: the first is outermost. It holds for requests that arrive
// afterwards.
func (g *Gateway) Use(middleware ...Middleware) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.middleware = append(g.middleware, middleware...)
	chain := wrap(g.mux, g.middleware)
	g.chain.Store(&chain)
}

// wrap composes middleware round h, the first outermost.
func wrap(h http.Handler, middleware []Middleware) http.Handler {
	for i := len(middleware) - 1; i >= 0; i-- {
		h = middleware[i](h)
	}
	return h
}

// Handle serves what matches pattern, in the form of http.ServeMux ("GET
// /orders/{id}"), before all that the gateway serves of itself; the pattern "/" is
// what is left after that. The error says what is wrong with the pattern, or with
// which other it conflicts.
func (g *Gateway) Handle(pattern string, h http.Handler) (err error) {
	if h == nil {
		return fmt.Errorf("gateway: %q: the handler is nil", pattern)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("gateway: pattern %q: %v", pattern, p)
		}
	}()
	if pattern == "/" {
		if !g.rest.CompareAndSwap(nil, &h) {
			return fmt.Errorf("gateway: pattern %q is taken", pattern)
		}
		return nil
	}
	g.mux.Handle(pattern, h)
	g.routes.Handle(pattern, h)
	return nil
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, id := withRequestID(r)
	w.Header()[headerRequestID] = []string{id}
	(*g.chain.Load()).ServeHTTP(w, r)
}

// serveCalls is what the mux comes to when nothing matches that was registered:
// what the gateway serves of itself.
func (g *Gateway) serveCalls(w http.ResponseWriter, r *http.Request) {
	service, method, isCall := splitPath(r.URL.Path)
	isBridge := r.URL.Path == bridgePath
	rest := g.rest.Load()
	switch {
	case r.Method == http.MethodPost && isBridge:
		g.serveBridge(w, r)
	case r.Method == http.MethodPost && isCall:
		g.serveJSON(w, r, service, method)
	case rest != nil:
		(*rest).ServeHTTP(w, r)
	case isCall || isBridge:
		w.Header().Set("Allow", http.MethodPost)
		WriteError(w, refuse(http.StatusMethodNotAllowed, protocol.Unimplemented, "calls are made by POST, not by %.16q", r.Method))
	default:
		unmatched, _ := g.routes.Handler(r)
		writeUnmatched(w, r, unmatched)
	}
}

// splitPath takes "/Service/Method".
func splitPath(path string) (service, method string, ok bool) {
	service, method, ok = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return service, method, ok && service != "" && method != "" && !strings.Contains(method, "/")
}

// writeUnmatched answers what the mux would, 404 or 405, as errors are told here.
func writeUnmatched(w http.ResponseWriter, r *http.Request, unmatched http.Handler) {
	asked := &probe{header: make(http.Header)}
	unmatched.ServeHTTP(asked, r)
	if allow := asked.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		WriteError(w, refuse(http.StatusMethodNotAllowed, protocol.Unimplemented, "%.128s takes %s, not %.16q", r.URL.Path, allow, r.Method))
		return
	}
	WriteError(w, refuse(http.StatusNotFound, protocol.Unimplemented, "nothing is served at %.128q; calls are POST /{Service}/{Method}", r.URL.Path))
}

// probe is a response that is only looked at.
type probe struct{ header http.Header }

// Header implements http.ResponseWriter.
func (p *probe) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter.
func (*probe) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (*probe) Write(b []byte) (int, error) { return len(b), nil }
