package openapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/openapi"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
)

type Line struct {
	Article string `json:"article" required:"true"`
	Count   int    `json:"count" description:"how many"`
}

type Order struct {
	ID     int64  `json:"id" required:"true"`
	Colour string `json:"colour,omitempty" enum:"red,green"`
	Lines  []Line `json:"lines,omitempty"`
}

type Orders struct{}

func (Orders) Update(context.Context, *Order, *Order) error { return nil }

func (Orders) Sizes(context.Context, *[]int, *map[string]Line) error { return nil }

// newGateway returns a gateway with documents, beside a server of Orders.
func newGateway(t testing.TB, o *gateway.Option) *gateway.Gateway {
	t.Helper()
	s, err := server.NewSGServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Register(Orders{}); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		g.Bind("PUT /v1/orders/{ID}", "Orders.Update"),
		g.Bind("GET /v1/find/{id}/{rest...}", "Orders.Update"),
		g.Bind("GET example.org/v1/elsewhere", "Orders.Update"),
		openapi.Mount(g, &openapi.Option{Title: "Shop", Version: "7"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func get(g http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

// at returns the JSON at a path of names within doc.
func at(t *testing.T, doc any, path ...string) string {
	t.Helper()
	for i, name := range path {
		object, ok := doc.(map[string]any)
		if !ok || object[name] == nil {
			t.Fatalf("nothing at %s", strings.Join(path[:i+1], " "))
		}
		doc = object[name]
	}
	encoded, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func TestDocument(t *testing.T) {
	w := get(newGateway(t, nil), "/openapi.json")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("answered %d %v", w.Code, w.Header())
	}
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path []string
		want string
	}{
		{[]string{"openapi"}, `"3.1.0"`},
		{[]string{"info"}, `{"title":"Shop","version":"7"}`},
		{[]string{"tags"}, `[{"name":"Orders"}]`},
		{[]string{"paths", "/Orders/Update", "post", "operationId"}, `"Orders.Update"`},
		{[]string{"paths", "/Orders/Update", "post", "requestBody"}, `{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/openapi_test.Order"}}},"required":true}`},
		{[]string{"paths", "/Orders/Update", "post", "responses", "200", "content"}, `{"application/json":{"schema":{"$ref":"#/components/schemas/openapi_test.Order"}}}`},
		{[]string{"paths", "/Orders/Update", "post", "responses", "default", "content"}, `{"application/json":{"schema":{"$ref":"#/components/schemas/sinew.Error"}}}`},
		{[]string{"paths", "/Orders/Sizes", "post", "requestBody", "content"}, `{"application/json":{"schema":{"items":{"type":"integer"},"type":"array"}}}`},
		{[]string{"paths", "/Orders/Sizes", "post", "responses", "200", "content"}, `{"application/json":{"schema":{"additionalProperties":{"$ref":"#/components/schemas/openapi_test.Line"},"type":"object"}}}`},
		{[]string{"components", "schemas", "openapi_test.Order"}, `{"properties":{"colour":{"enum":["red","green"],"type":"string"},"id":{"format":"int64","type":"integer"},"lines":{"items":{"$ref":"#/components/schemas/openapi_test.Line"},"type":"array"}},"required":["id"],"title":"openapi_test.Order","type":"object"}`},
		{[]string{"components", "schemas", "openapi_test.Line"}, `{"properties":{"article":{"type":"string"},"count":{"description":"how many","type":"integer"}},"required":["article"],"title":"openapi_test.Line","type":"object"}`},
		{[]string{"paths", "/v1/orders/{ID}", "put", "parameters"}, `[{"in":"path","name":"ID","required":true,"schema":{"format":"int64","type":"integer"}}]`},
		{[]string{"paths", "/v1/orders/{ID}", "put", "requestBody", "content"}, `{"application/json":{"schema":{"$ref":"#/components/schemas/openapi_test.Order"}}}`},
		{[]string{"paths", "/v1/find/{id}/{rest}", "get", "parameters"}, `[{"in":"path","name":"id","required":true,"schema":{"format":"int64","type":"integer"}},{"in":"path","name":"rest","required":true,"schema":{"type":"string"}},` +
			`{"in":"query","name":"colour","required":false,"schema":{"enum":["red","green"],"type":"string"}},{"in":"query","name":"lines","required":false,"schema":{"items":{"$ref":"#/components/schemas/openapi_test.Line"},"type":"array"}}]`},
	} {
		if got := at(t, doc, test.path...); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", strings.Join(test.path, " "), got, test.want)
		}
	}
	if paths := doc["paths"].(map[string]any); len(paths) != 4 {
		t.Errorf("%d paths, want 4", len(paths))
	}
}

// method is one whose types say schema.
func method(name, schema string) protocol.MethodInfo {
	return protocol.MethodInfo{Name: name, Request: "Go", Response: "Go", RequestSchema: schema, ResponseSchema: schema}
}

func TestTypesOfOneNameAreToldApart(t *testing.T) {
	const (
		first  = `{"title":"a.T","type":"object","properties":{"x":{"$ref":"#/$defs/a.U"}},"$defs":{"a.U":{"title":"a.U","type":"string"}}}`
		second = `{"title":"a.T","type":"object","properties":{"x":{"$ref":"#/$defs/a.U"}},"$defs":{"a.U":{"title":"a.U","type":"integer"}}}`
		itself = `{"$ref":"#/$defs/a.Tree","$defs":{"a.Tree":{"title":"a.Tree","properties":{"left":{"$ref":"#/$defs/a.Tree"}}}}}`
		odd    = `{"title":"a.T[int]","type":"object"}`
	)
	doc := openapi.Document([]protocol.ServiceInfo{
		{Name: "A", Methods: []protocol.MethodInfo{method("One", first), method("Again", first), method("Tree", itself), method("Odd", odd)}},
		{Name: "B", Methods: []protocol.MethodInfo{method("Two", second), method("None", ""), method("Bad", "["), method("Tree", itself)}},
	}, nil, "", "")
	names := make([]string, 0, len(doc.Components.Schemas))
	for name := range doc.Components.Schemas {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"a.T", "a.T_2", "a.Tree", "a.U", "a.U_2", "sinew.Error"}; !reflect.DeepEqual(names, want) {
		t.Errorf("schemas %q, want %q", names, want)
	}
	encoded, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var parsed any
	if err := json.Unmarshal(encoded, &parsed); err != nil {
		t.Fatal(err)
	}
	request := func(path string) string {
		return at(t, parsed, "paths", path, "post", "requestBody", "content", "application/json", "schema")
	}
	for path, want := range map[string]string{
		"/A/One":   `{"$ref":"#/components/schemas/a.T"}`,
		"/A/Again": `{"$ref":"#/components/schemas/a.T"}`,
		"/B/Two":   `{"$ref":"#/components/schemas/a.T_2"}`,
		"/A/Tree":  `{"$ref":"#/components/schemas/a.Tree"}`,
		"/B/Tree":  `{"$ref":"#/components/schemas/a.Tree"}`,
		"/A/Odd":   `{"title":"a.T[int]","type":"object"}`,
		"/B/None":  `{"title":"Go"}`,
		"/B/Bad":   `{"title":"Go"}`,
	} {
		if got := request(path); got != want {
			t.Errorf("%s takes %s, want %s", path, got, want)
		}
	}
	if got, want := at(t, parsed, "components", "schemas", "a.T_2", "properties", "x"), `{"$ref":"#/components/schemas/a.U_2"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if strings.Contains(string(encoded), "$defs") {
		t.Error("a reference into $defs is left")
	}
}

// alone returns a gateway with documents that finds a server of Orders, which has
// wrappers, by a registry.
func alone(t *testing.T, mode client.FailMode, wrappers ...server.Wrapper) *gateway.Gateway {
	t.Helper()
	r := memory.NewRegistry("shop")
	t.Cleanup(func() { r.Close() })
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Registry: r, Mem: network, Wrappers: wrappers})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(Orders{}); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("mem", "orders", nil) }()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	op := client.DefaultSGOption
	op.Registry, op.Mem, op.AllowLocal, op.RequestTimeout, op.FailMode = r, network, true, 10*time.Second, mode
	c, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	g, err := gateway.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	if err := errors.Join(openapi.Mount(g, nil), g.Bind("GET /orders/{id}", "Orders.Update")); err != nil {
		t.Fatal(err)
	}
	return g
}

// A gateway that stands alone knows the types from the registry.
func TestDocumentOfAGatewayAlone(t *testing.T) {
	g := alone(t, client.DefaultSGOption.FailMode)
	var doc map[string]any
	if err := json.Unmarshal(get(g, "/openapi.json").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if got, want := at(t, doc, "components", "schemas", "openapi_test.Order", "properties", "id"), `{"format":"int64","type":"integer"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := at(t, doc, "tags"), `[{"name":"Orders"}]`; got != want {
		t.Errorf("the services are %s, want %s", got, want)
	}
	if w := get(g, "/orders/x"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"id must be an integer"`) {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}

func TestDocumentsAreGuarded(t *testing.T) {
	option := &gateway.Option{Authorize: func(r *http.Request, serviceMethod string) (string, error) {
		if r.Header.Get("Authorization") != "Bearer good" || serviceMethod != "" {
			return "", protocol.NewError(protocol.Unauthenticated, "who is there?")
		}
		return "", nil
	}}
	g := newGateway(t, option)
	for path, kind := range map[string]string{
		"/openapi.json": "application/json", "/docs": "text/html; charset=utf-8", "/docs/docs.js": "text/javascript; charset=utf-8", "/docs/docs.css": "text/css; charset=utf-8",
	} {
		if w := get(g, path); w.Code != http.StatusUnauthorized {
			t.Errorf("%s is shown to strangers: %d", path, w.Code)
		}
		w := get(g, path, "Authorization", "Bearer good")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

// Without an authoriser of the gateway's own, whom providers serve may read of them.
func TestDocumentIsForWhomProvidersServe(t *testing.T) {
	tokens := wrapper.StaticTokens(map[string]string{"hello01": "ada"})
	s, err := server.NewSGServer(&server.Option{Wrappers: []server.Wrapper{&wrapper.Auth{Verifier: tokens}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Register(Orders{}); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := openapi.Mount(g, nil); err != nil {
		t.Fatal(err)
	}
	for _, headers := range [][]string{nil, {"Authorization", "Bearer hello02"}, {"Authorization", "Bearer hello02", "Sinew-Tag-Idc", "lf"}} {
		if w := get(g, "/openapi.json", headers...); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "Orders") {
			t.Errorf("%q: a stranger was answered %d %s", headers, w.Code, w.Body)
		}
	}
	if w := get(g, "/openapi.json", "Authorization", "Bearer hello01"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "/Orders/Update") {
		t.Errorf("a friend was answered %d %s", w.Code, w.Body)
	}
	if w := get(g, "/docs"); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "Orders") {
		t.Errorf("the page: %d %s", w.Code, w.Body)
	}
}

// A client that swallows failures swallows a refusal too: no answer lets nobody in.
func TestDocumentBehindAClientThatFailsSafe(t *testing.T) {
	tokens := wrapper.StaticTokens(map[string]string{"hello01": "ada"})
	g := alone(t, client.FailSafe, &wrapper.Auth{Verifier: tokens})
	if w := get(g, "/openapi.json"); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "Orders") {
		t.Errorf("a stranger was answered %d %s", w.Code, w.Body)
	}
	if w := get(g, "/openapi.json", "Authorization", "Bearer hello01"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "/Orders/Update") {
		t.Errorf("a friend was answered %d %s", w.Code, w.Body)
	}
}

// The page works offline: it refers to nothing beyond the gateway.
func TestPageNeedsNobodyElse(t *testing.T) {
	g := newGateway(t, nil)
	for _, path := range []string{"/docs", "/docs/docs.js", "/docs/docs.css"} {
		if body := get(g, path).Body.String(); strings.Contains(body, "://") || strings.Contains(body, "innerHTML") {
			t.Errorf("%s refers to another host, or makes markup of text", path)
		}
	}
}

// down is a backend that cannot be asked.
type down struct{ gateway.Backend }

func (down) Do(context.Context, *protocol.Message) (*protocol.Message, error) {
	return nil, protocol.NewError(protocol.Unavailable, "no provider")
}

func (down) Services(context.Context) ([]protocol.ServiceInfo, error) {
	return nil, protocol.NewError(protocol.Unavailable, "no provider")
}

func TestDocumentWithoutABackend(t *testing.T) {
	g, err := gateway.New(down{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := openapi.Mount(g, nil); err != nil {
		t.Fatal(err)
	}
	if w := get(g, "/openapi.json"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if err := openapi.Mount(g, nil); err == nil {
		t.Error("mounted twice")
	}
}
