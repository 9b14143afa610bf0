package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
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
