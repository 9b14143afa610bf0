package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// mark is middleware that notes its name on the way in.
func mark(name string) gateway.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("X-Way", name)
			next.ServeHTTP(w, r)
		})
	}
}

func say(text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text, r.PathValue("id")) }
}

func get(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }

func TestRoutesAndMiddleware(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	g.Use(mark("first"), mark("second"))
	view := g.Group(gateway.GET, "/view")
	if err := view.Route("/bare", say("bare")); err != nil {
		t.Fatal(err)
	}
	view.Use(mark("view"))
	below := view.Group("/below")
	below.Use(mark("below"))
	anything := g.Group(gateway.Any, "/any")
	for _, err := range []error{
		view.Route("/health", say("well")),
		below.Route("/{id}", say("item ")),
		view.Handle("/handler", http.HandlerFunc(say("handler"))),
		anything.Route("/thing", say("anything")),
		g.Handle("PUT /orders/{id}", http.HandlerFunc(say("order "))),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	g.Use(mark("third"))
	for _, test := range []struct {
		method, path string
		status       int
		body, way    string
	}{
		{"GET", "/view/bare", 200, "bare", "first second third"},
		{"GET", "/view/health", 200, "well", "first second third view"},
		{"HEAD", "/view/health", 200, "well", "first second third view"},
		{"GET", "/view/below/7", 200, "item 7", "first second third view below"},
		{"GET", "/view/handler", 200, "handler", "first second third view"},
		{"DELETE", "/any/thing", 200, "anything", "first second third"},
		{"PUT", "/orders/8", 200, "order 8", "first second third"},
		{"GET", "/view/below/7/8", 404, `{"code":"unimplemented","message":"nothing is served at \"/view/below/7/8\"; calls are POST /{Service}/{Method}"}`, "first second third"},
		{"DELETE", "/view/below/7", 405, `{"code":"unimplemented","message":"/view/below/7 takes GET, HEAD, not \"DELETE\""}`, "first second third"},
	} {
		res := serve(g, httptest.NewRequest(test.method, test.path, nil))
		expect(t, res, test.status, test.body)
		if way := strings.Join(res.Header["X-Way"], " "); way != test.way {
			t.Errorf("%s %s went by %s, want %s", test.method, test.path, way, test.way)
		}
	}
	expect(t, serve(g, post("/Arith/Add", `{"A":2,"B":2}`)), 200, `{"C":4}`)
}

func TestRoutesThatCannotBe(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	if err := g.Handle("GET /a/{id}", http.HandlerFunc(say("a"))); err != nil {
		t.Fatal(err)
	}
	group := g.Group(gateway.GET, "/a")
	for want, err := range map[string]error{
		`gateway: pattern "GET /a/{other}": `:                                     group.Route("/{other}", say("b")),
		`gateway: pattern "GET": `:                                                g.Handle("GET", http.HandlerFunc(say("b"))),
		`gateway: "GET /a/b": the handler is nil`:                                 group.Route("/b", nil),
		`gateway: "/b": the handler is nil`:                                       g.Handle("/b", nil),
		`gateway: pattern "POST /x": "Add" names no method: write Service.Method`: g.Bind("POST /x", "Add"),
		`gateway: pattern "GET /a/x": "Arith." names no method`:                   group.Bind("/x", "Arith."),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
}

func TestNewSaysWhichFieldIsWrong(t *testing.T) {
	backend := odd{}
	if _, err := gateway.New(nil, nil); err == nil {
		t.Error("a nil backend was taken")
	}
	for field, option := range map[string]*gateway.Option{
		"MaxMessageSize": {MaxMessageSize: -1},
		"Headers[0]":     {Headers: []string{"*"}},
		"Headers[1]":     {Headers: []string{"X-A", "X A"}},
		"Headers[2]":     {Headers: []string{"X-A", "X-B*", "Sinew-Auth"}},
	} {
		if _, err := gateway.New(backend, option); err == nil || !strings.HasPrefix(err.Error(), "gateway: Option."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, name := range []string{"Authorization", "connection", "transfer-encoding", "Sinew-*"} {
		if _, err := gateway.New(backend, &gateway.Option{Headers: []string{name}}); err == nil {
			t.Errorf("the header %s was taken", name)
		}
	}
	option := gateway.Option{Headers: []string{"X-A"}}
	if _, err := gateway.New(backend, &option); err != nil || option.Authorize != nil || option.RequestTimeout != 0 {
		t.Errorf("New wrote to its argument: %+v, %v", option, err)
	}
}

// A page at "/" gets what is left, and no call.
func TestRestOfThePaths(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	if err := g.Handle("/", http.HandlerFunc(say("page"))); err != nil {
		t.Fatal(err)
	}
	if err := g.Handle("/", http.HandlerFunc(say("page"))); err == nil {
		t.Error("two handlers were taken for what is left")
	}
	expect(t, serve(g, post("/Arith/Add", `{"A":1,"B":1}`)), 200, `{"C":2}`)
	for _, path := range []string{"/", "/a/b", "/a/b/c", "/invoke"} {
		expect(t, serve(g, get(path)), 200, "page")
	}
}

// Middleware of somebody else, made for net/http alone.
func TestMiddlewareOfOthers(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	g.Use(func(next http.Handler) http.Handler { return http.StripPrefix("/api", next) })
	res := serve(g, post("/api/Arith/Add", `{"A":1,"B":1}`))
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != `{"C":2}` {
		t.Errorf("%s, %v", body, err)
	}
}

// Middleware may register routes of its own where it is made.
func TestMiddlewareThatRegisters(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	if err := g.Bind("GET /sums/{A}", "Arith.Add"); err != nil {
		t.Fatal(err)
	}
	bound := 0
	g.Use(mark("first"), func(next http.Handler) http.Handler {
		if err := g.Handle("GET /ping", http.HandlerFunc(say("pong"))); err != nil {
			t.Error(err)
		}
		bound = len(g.Bindings())
		return next
	})
	res := serve(g, get("/ping"))
	expect(t, res, 200, "pong")
	if res.Header.Get("X-Way") != "first" || bound != 1 {
		t.Errorf("it went by %q, and %d routes were bound", res.Header.Get("X-Way"), bound)
	}
}

// What several goroutines put round a gateway all holds when they have.
func TestMiddlewareFromManySides(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	var sides sync.WaitGroup
	for i := range 20 {
		sides.Go(func() {
			name := fmt.Sprint(i)
			g.Use(mark(name))
			if way := serve(g, get("/")).Header["X-Way"]; !slices.Contains(way, name) {
				t.Errorf("a request after Use(%s) went by %v", name, way)
			}
		})
	}
	sides.Wait()
	if way := serve(g, get("/")).Header["X-Way"]; len(way) != 20 {
		t.Errorf("it went by %v", way)
	}
}

// listed is a backend whose services a registry lists.
type listed struct{ gateway.Backend }

// Services implements gateway.Backend.
func (listed) Services(context.Context) ([]protocol.ServiceInfo, error) {
	return []protocol.ServiceInfo{{Name: "Arith", Methods: []protocol.MethodInfo{{Name: "Add"}}}}, nil
}

// A path of two segments that a route has is the route's: a wrong method is told
// those that are right, POST among them only where a service has that name.
func TestRoutesOfTwoSegments(t *testing.T) {
	for place, backend := range map[string]gateway.Backend{
		"beside": newBackend(t, "beside", newArith(), server.Option{}),
		"alone":  listed{newBackend(t, "alone", newArith(), server.Option{})},
	} {
		t.Run(place, func(t *testing.T) {
			g, err := gateway.New(backend, nil)
			if err != nil {
				t.Fatal(err)
			}
			testRoutesOfTwoSegments(t, g)
		})
	}
}

func testRoutesOfTwoSegments(t *testing.T, g *gateway.Gateway) {
	view := g.Group(gateway.GET, "/view")
	for _, err := range []error{
		view.Route("/health", say("well")),
		g.Handle("GET /Arith/Add", http.HandlerFunc(say("a page about adding"))),
		g.Handle("GET /invoke", http.HandlerFunc(say("a page about the bridge"))),
		g.Handle("GET /by%2Fslash/{id}", http.HandlerFunc(say("item "))),
		g.Handle("DELETE /{kind}/oldest", http.HandlerFunc(say("gone"))),
		g.Bind("PUT /orders/{A}", "Arith.Add"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/view/health", 200, ""},
		{"PUT", "/view/health", 405, "GET, HEAD"},
		{"OPTIONS", "/view/health", 405, "GET, HEAD"},
		{"POST", "/view/health", 405, "GET, HEAD"},
		{"DELETE", "/orders/7", 405, "PUT"},
		{"POST", "/orders/7", 405, "PUT"},
		{"PUT", "/orders/7", 200, ""},
		{"POST", "/by%2Fslash/7", 405, "GET, HEAD"},
		{"GET", "/Arith/Add", 200, ""},
		{"PUT", "/Arith/Add", 405, "GET, HEAD, POST"},
		{"POST", "/Arith/Add", 200, ""},
		{"POST", "/Arith/oldest", 501, ""},
		{"POST", "/Books/oldest", 405, "DELETE"},
		{"PUT", "/Arith/oldest", 405, "DELETE, POST"},
		{"PUT", "/Arith/Divide", 405, "POST"},
		{"PUT", "/invoke", 405, "GET, HEAD, POST"},
		{"PUT", "/sinew.Introspect/oldest", 405, "DELETE"},
		{"PUT", "/nowhere", 404, ""},
	} {
		r := httptest.NewRequest(test.method, test.path, strings.NewReader(`{"B":1}`))
		r.Header.Set("Content-Type", "application/json")
		res := serve(g, r)
		if allow := res.Header.Get("Allow"); res.StatusCode != test.status || allow != test.allow {
			t.Errorf("%s %s: answered %d, Allow %q, %s; want %d, %q", test.method, test.path, res.StatusCode, allow, bodyOf(t, res), test.status, test.allow)
		}
	}
}

// registering is a backend that registers a route when it is asked what it provides.
type registering struct {
	listed
	register func()
}

// Services implements gateway.Backend.
func (b *registering) Services(ctx context.Context) ([]protocol.ServiceInfo, error) {
	b.register()
	return b.listed.Services(ctx)
}

// A route serves the request that it overtakes, and never runs with nobody to hear it.
func TestRoutesThatComeWhileServing(t *testing.T) {
	backend := new(registering)
	g, err := gateway.New(backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Handle("GET /view/health", http.HandlerFunc(say("well"))); err != nil {
		t.Fatal(err)
	}
	ran := 0
	backend.register = func() {
		err := g.Handle("POST /view/{what}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ran++
			fmt.Fprint(w, r.PathValue("what"))
		}))
		if err != nil {
			t.Error(err)
		}
	}
	expect(t, serve(g, post("/view/health", `{}`)), http.StatusOK, "health")
	if ran != 1 {
		t.Errorf("the handler ran %d times", ran)
	}
}

// Where no list tells of services, as in a list of providers written by hand, a POST
// is passed on.
func TestRoutesBesideServicesThatNobodyLists(t *testing.T) {
	g := newGateway(t, "alone", newArith(), nil)
	if err := g.Handle("GET /Arith/Add", http.HandlerFunc(say("a page about adding"))); err != nil {
		t.Fatal(err)
	}
	expect(t, serve(g, get("/Arith/Add")), 200, "a page about adding")
	expect(t, serve(g, post("/Arith/Add", `{"A":1}`)), 200, `{"C":1}`)
	res := serve(g, httptest.NewRequest(http.MethodPut, "/Arith/Add", nil))
	if allow := res.Header.Get("Allow"); res.StatusCode != 405 || allow != "GET, HEAD, POST" {
		t.Errorf("answered %d, Allow %q", res.StatusCode, allow)
	}
}

// Paths are split as patterns are matched: what a route guards is no call by
// another spelling.
func TestEscapedSlashesAreNoneBetweenSegments(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	guard := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	if err := g.Handle("POST /Arith/{method}", http.HandlerFunc(guard)); err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{
		"/Arith/Add":       http.StatusForbidden,
		"/Arith/%41dd":     http.StatusForbidden,
		"/%41rith/Add":     http.StatusForbidden,
		"/Arith%2FAdd":     http.StatusNotFound,
		"/Arith%2fAdd":     http.StatusNotFound,
		"/x%2FArith/Add":   http.StatusNotFound,
		"/%41rith%2FAdd":   http.StatusNotFound,
		"/Arith%2FAdd/Add": http.StatusNotFound,
	} {
		if res := serve(g, post(path, `{"A":1}`)); res.StatusCode != status {
			t.Errorf("POST %s: answered %d %s, want %d", path, res.StatusCode, bodyOf(t, res), status)
		}
	}
}
