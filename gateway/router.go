package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/sinew-rpc/sinew/protocol"
)

// Middleware stands round a handler. Any of that form will do, from this
// repository or elsewhere.
type Middleware = func(http.Handler) http.Handler

// Use puts middleware round everything that the gateway serves, inside what Use
// put there before: the first is outermost. It holds for requests that arrive
// afterwards. All of it is put round anew, so each may be called again.
func (g *Gateway) Use(middleware ...Middleware) {
	g.mu.Lock()
	g.middleware = append(g.middleware, middleware...)
	all := g.middleware
	g.mu.Unlock()
	chain := wrap(g.mux, all) // without the lock: middleware may register routes
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(all) >= g.chained { // else that of a later Use, which has these too, is there already
		g.chained = len(all)
		g.chain.Store(&chain)
	}
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
	g.addHead(headOf(pattern))
	return nil
}

// anyHead is the first segment of a pattern that has a wildcard there.
const anyHead = "{}"

// headOf returns the first segment of a pattern's path.
func headOf(pattern string) string {
	_, path, _ := strings.Cut(pattern, "/")
	head, _, _ := strings.Cut(path, "/")
	if strings.HasPrefix(head, "{") && head != "{$}" { // which is the end
		return anyHead
	}
	if plain, err := url.PathUnescape(head); err == nil {
		return plain
	}
	return head
}

func (g *Gateway) addHead(head string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	heads := maps.Clone(*g.heads.Load())
	heads[head] = true
	g.heads.Store(&heads)
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
	service, method, isCall := splitPath(r.URL)
	isBridge := r.URL.Path == bridgePath
	isPost := r.Method == http.MethodPost
	rest := g.rest.Load()
	switch {
	case isPost && isBridge:
		g.serveBridge(w, r)
	case isPost && isCall && g.takesCalls(r, service):
		g.serveJSON(w, r, service, method)
	case rest != nil:
		(*rest).ServeHTTP(w, r)
	default:
		allow := g.routeMethods(r)
		if _, pattern := g.mux.Handler(r); pattern != "/" { // registered since r was matched
			g.mux.ServeHTTP(w, r)
			return
		}
		if isBridge || isCall && (allow == "" || g.provides(r, service)) {
			allow = strings.TrimPrefix(allow+", "+http.MethodPost, ", ")
		}
		writeUnmatched(w, r, allow)
	}
}

// takesCalls tells whether a POST to the path of r, which may name a method of
// service, is a call. Where a route has the path for other methods of HTTP, it is
// one if there is such a service. Routes are looked at only where their first
// segment is the service's name: that takes longer than everything else here.
func (g *Gateway) takesCalls(r *http.Request, service string) bool {
	heads := *g.heads.Load()
	if !heads[service] && !heads[anyHead] {
		return true
	}
	return g.routeMethods(r) == "" || g.provides(r, service)
}

// provides tells whether somebody is known to provide service, or nobody tells what
// is provided.
func (g *Gateway) provides(r *http.Request, service string) bool {
	if g.checkService(service) != nil {
		return false
	}
	known := g.shapes.ask(r.Context(), g.backend)
	return known == nil || len(known.services) == 0 || known.services[service]
}

// splitPath takes "/Service/Method", where neither has a slash, as ServeMux does: in
// a path that was sent with %2F that is no slash between two segments.
func splitPath(u *url.URL) (service, method string, ok bool) {
	path := u.Path
	if u.RawPath != "" {
		path = u.EscapedPath()
	}
	service, method, ok = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || service == "" || method == "" || strings.Contains(method, "/") {
		return "", "", false
	}
	if u.RawPath == "" {
		return service, method, true
	}
	service, badService := url.PathUnescape(service)
	method, badMethod := url.PathUnescape(method)
	return service, method, badService == nil && badMethod == nil && !strings.Contains(service+method, "/")
}

// routeMethods returns the methods of HTTP, as in Allow, that were registered for
// the path of r, which has another; empty where there are none.
func (g *Gateway) routeMethods(r *http.Request) string {
	unmatched, pattern := g.routes.Handler(r)
	if pattern != "" { // a redirection, or a route that was registered since r was matched
		return ""
	}
	asked := &probe{header: make(http.Header)}
	unmatched.ServeHTTP(asked, r)
	return asked.header.Get("Allow")
}

// writeUnmatched answers what the mux would, 404 or 405, as errors are told here.
func writeUnmatched(w http.ResponseWriter, r *http.Request, allow string) {
	switch allow {
	case "":
		WriteError(w, refuse(http.StatusNotFound, protocol.Unimplemented, "nothing is served at %.128q; calls are POST /{Service}/{Method}", r.URL.Path))
		return
	case http.MethodPost:
		w.Header().Set("Allow", allow)
		WriteError(w, refuse(http.StatusMethodNotAllowed, protocol.Unimplemented, "calls are made by POST, not by %.16q", r.Method))
		return
	}
	w.Header().Set("Allow", allow)
	WriteError(w, refuse(http.StatusMethodNotAllowed, protocol.Unimplemented, "%.128s takes %s, not %.16q", r.URL.Path, allow, r.Method))
}

// probe is a response that is only looked at.
type probe struct{ header http.Header }

// Header implements http.ResponseWriter.
func (p *probe) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter.
func (*probe) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (*probe) Write(b []byte) (int, error) { return len(b), nil }
