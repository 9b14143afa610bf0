package gateway

import (
	"net/http"
	"slices"
)

// The methods of HTTP, for Group; Any stands for all of them.
const (
	GET     = http.MethodGet
	HEAD    = http.MethodHead
	POST    = http.MethodPost
	PUT     = http.MethodPut
	PATCH   = http.MethodPatch
	DELETE  = http.MethodDelete
	OPTIONS = http.MethodOptions
	Any     = ""
)

// Group is routes of one method that share the beginning of their paths and
// middleware. It is for one goroutine, as registering is; what it registered is
// served to all.
type Group struct {
	gateway        *Gateway
	method, prefix string
	middleware     []Middleware
}

// Group returns a group of routes that answer to method and whose paths begin
// with prefix, such as "/view". GET answers HEAD too.
func (g *Gateway) Group(method, prefix string) *Group {
	return &Group{gateway: g, method: method, prefix: prefix}
}

// Group returns a group below this one, with its middleware.
func (gr *Group) Group(prefix string) *Group {
	return &Group{gateway: gr.gateway, method: gr.method, prefix: gr.prefix + prefix, middleware: slices.Clone(gr.middleware)}
}

// Use puts middleware round the routes that the group gets afterwards, inside
// the gateway's own, the first outermost.
func (gr *Group) Use(middleware ...Middleware) {
	gr.middleware = append(gr.middleware, middleware...)
}

// Route serves path below the group's prefix, such as "/health" or
// "/orders/{id}", by f. The error is that of Gateway.Handle.
func (gr *Group) Route(path string, f func(http.ResponseWriter, *http.Request)) error {
	if f == nil {
		return gr.Handle(path, nil)
	}
	return gr.Handle(path, http.HandlerFunc(f))
}

// Handle is Route for a handler.
func (gr *Group) Handle(path string, h http.Handler) error {
	if h != nil {
		h = wrap(h, gr.middleware)
	}
	return gr.gateway.Handle(gr.pattern(path), h)
}

// Bind is Gateway.Bind for a path below the group's prefix.
func (gr *Group) Bind(path, serviceMethod string) error {
	h, err := gr.gateway.bound(gr.pattern(path), serviceMethod)
	if err != nil {
		return err
	}
	return gr.gateway.handleBound(h, wrap(h, gr.middleware))
}

func (gr *Group) pattern(path string) string {
	if gr.method == Any {
		return gr.prefix + path
	}
	return gr.method + " " + gr.prefix + path
}
