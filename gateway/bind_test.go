package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

type Line struct {
	Article string `json:"article"`
}

type Order struct {
	ID     int64             `json:"id" required:"true"`
	Shop   string            `json:"shop"`
	Price  float64           `json:"price"`
	Paid   bool              `json:"paid"`
	Tags   []string          `json:"tags"`
	Counts []int             `json:"counts"`
	Colour string            `json:"colour" enum:"red,green"`
	Line   *Line             `json:"line"`
	More   map[string]string `json:"more"`
}

// Orders answers with what it got.
type Orders struct{}

func (Orders) Update(_ context.Context, in, out *Order) error {
	*out = *in
	return nil
}

func newOrders(t *testing.T) *gateway.Gateway {
	t.Helper()
	s, err := server.NewSGServer(nil)
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
	for _, err := range []error{
		g.Bind("POST /v1/{shop}/orders/{id}", "Orders.Update"),
		g.Group(gateway.GET, "/v1").Bind("/orders", "Orders.Update"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func typed(method, target, contentType, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json; charset=utf-8"
)

func TestBind(t *testing.T) {
	g := newOrders(t)
	var multi bytes.Buffer
	w := multipart.NewWriter(&multi)
	if err := w.WriteField("colour", "green"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		request *http.Request
		want    Order
	}{
		{"path", typed("POST", "/v1/123/orders/9007199254740993", "", ""), Order{Shop: "123", ID: 9007199254740993}},
		{"path escapes", typed("POST", "/v1/a%20%22b/orders/1", "", ""), Order{Shop: `a "b`, ID: 1}},
		{"JSON", typed("POST", "/v1/a/orders/1", jsonType, `{"price":1.5,"tags":["x"],"line":{"article":"y"},"unknown":1}`), Order{Shop: "a", ID: 1, Price: 1.5, Tags: []string{"x"}, Line: &Line{"y"}}},
		{"query", get("/v1/orders?ID=7&shop=12&paid=true&price=1e2&tags=1&tags=2&counts=3&colour=red&utm=x"), Order{ID: 7, Shop: "12", Paid: true, Price: 100, Tags: []string{"1", "2"}, Counts: []int{3}, Colour: "red"}},
		{"objects in the query", get(`/v1/orders?id=7&line={"article":"y"}&more={"a":"b"}`), Order{ID: 7, Line: &Line{"y"}, More: map[string]string{"a": "b"}}},
		{"a form", typed("POST", "/v1/a/orders/1?price=1&paid=0", formType, "price=2&paid=on&colour=green"), Order{Shop: "a", ID: 1, Price: 2, Paid: true, Colour: "green"}},
		{"a form of parts", typed("POST", "/v1/a/orders/1", w.FormDataContentType(), multi.String()), Order{Shop: "a", ID: 1, Colour: "green"}},
		{"the path wins", typed("POST", "/v1/a/orders/1?id=2", jsonType, `{"id":3,"ID":4,"ıd":5,"ſhop":"b","SHOP":"c"}`), Order{Shop: "a", ID: 1}},
		{"the query wins over the body", typed("POST", "/v1/a/orders/1?price=2", jsonType, `{"price":3,"PRICE":4}`), Order{Shop: "a", ID: 1, Price: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			res := serve(g, test.request)
			body := bodyOf(t, res)
			var got Order
			if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != http.StatusOK || !reflect.DeepEqual(got, test.want) {
				t.Errorf("answered %d %s, want %+v", res.StatusCode, body, test.want)
			}
		})
	}
}

// echo answers with what it got.
func echo[T any](_ context.Context, in *T) (*T, error) { return in, nil }

// A map, and what may be any value, has members that no schema names.
func TestBindToWhatNamesNoMembers(t *testing.T) {
	s, err := server.NewSGServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g, err := gateway.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		server.Handle(s, "Hooks.Texts", echo[map[string]string]),
		server.Handle(s, "Hooks.Numbers", echo[map[string]int]),
		server.Handle(s, "Hooks.Lines", echo[map[string]Line]),
		server.Handle(s, "Hooks.Any", echo[json.RawMessage]),
		server.Handle(s, "Hooks.Values", echo[map[string]any]),
		server.Handle(s, "Hooks.None", echo[struct{}]),
		g.Bind("/hooks/{id}/texts", "Hooks.Texts"),
		g.Bind("/hooks/{id}/numbers", "Hooks.Numbers"),
		g.Bind("/lines", "Hooks.Lines"),
		g.Bind("/any", "Hooks.Any"),
		g.Bind("/values", "Hooks.Values"),
		g.Bind("/none", "Hooks.None"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		request *http.Request
		status  int
		want    string
	}{
		{typed("POST", "/hooks/7/texts?C=true", formType, "a=1&b=x"), 200, `{"C":"true","a":"1","b":"x","id":"7"}`},
		{typed("POST", "/hooks/7/texts?a=1", jsonType, `{"a":"2","b":"3"}`), 200, `{"a":"1","b":"3","id":"7"}`},
		{get("/hooks/7/numbers?a=1"), 200, `{"a":1,"id":7}`},
		{get("/hooks/7/numbers?a=x"), 400, `{"code":"invalid_argument","message":"a must be an integer","fields":[{"field":"a","message":"must be an integer"}]}`},
		{get(`/lines?a={"article":"y"}`), 200, `{"a":{"article":"y"}}`},
		{get("/any?a=1&b=x"), 200, `{"a":1,"b":"x"}`},
		{get(`/values?tag=a&tag=2&b=x&c={"d":1}`), 200, `{"b":"x","c":{"d":1},"tag":["a",2]}`},
		{get("/hooks/7/texts?a=1&a=2"), 400, `{"code":"invalid_argument","message":"a is given 2 times: once is right","fields":[{"field":"a","message":"is given 2 times: once is right"}]}`},
		{typed("POST", "/hooks/7/texts", jsonType, `{"ID":"x","id":"y"}`), 200, `{"ID":"x","id":"7"}`}, // keys of a map
		{typed("POST", "/any?id=7", jsonType, `{"ID":"x"}`), 200, `{"id":7}`},                          // the method may take them for one
		{get("/none?a=1"), 200, `{}`},
	} {
		t.Run(test.request.URL.String(), func(t *testing.T) { expect(t, serve(g, test.request), test.status, test.want) })
	}
}

// Schemas of other makers say by a truth whether there are other members.
func TestBindToSchemasOfOthers(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"object","additionalProperties":true}`:                                           `{"a":1,"b":2}`,
		`{"type":"object","additionalProperties":false}`:                                          `{}`,
		`{"type":"object","properties":{"b":{"type":"string"}},"additionalProperties":false}`:     `{"b":"2"}`,
		`{"type":"object","properties":{"b":{"type":"string"}},"additionalProperties":{"x":[1]}}`: `{"a":1,"b":"2"}`,
		`{"properties":{"b":{"type":"string"}}}`:                                                  `{"b":"2"}`,
		`{"$ref":"#/$defs/M","$defs":{"M":{"type":"object","additionalProperties":{}}}}`:          `{"a":1,"b":2}`,
	} {
		g, err := gateway.New(telling{schema: schema}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Bind("/hooks", "Hooks.Take"); err != nil {
			t.Fatal(err)
		}
		if got := bodyOf(t, serve(g, get("/hooks?a=1&b=2"))); got != want {
			t.Errorf("by %s the method gets %s, want %s", schema, got, want)
		}
	}
}

// A member that a schema names is one in whatever case, also where there are others.
func TestBindToNamedMembersAmongOthers(t *testing.T) {
	g, err := gateway.New(telling{schema: `{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":true}`}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Bind("/hooks", "Hooks.Take"); err != nil {
		t.Fatal(err)
	}
	expect(t, serve(g, typed("POST", "/hooks?b=2&c=3", jsonType, `{"B":"x","C":"y"}`)), 200, `{"b":"2","c":3,"C":"y"}`)
	expect(t, serve(g, typed("POST", "/hooks", jsonType, `{"B":"x"}`)), 200, `{"B":"x"}`)
}

// telling is a backend that tells a schema, and answers with the request.
type telling struct {
	guessing
	schema string
}

func (b telling) Services(context.Context) ([]protocol.ServiceInfo, error) {
	return []protocol.ServiceInfo{{Name: "Hooks", Methods: []protocol.MethodInfo{{Name: "Take", RequestSchema: b.schema}}}}, nil
}

func TestBindNamesTheFields(t *testing.T) {
	g := newOrders(t)
	for _, test := range []struct {
		name    string
		request *http.Request
		status  int
		body    string
	}{
		{"types", get("/v1/orders?id=x&price=much&paid=perhaps&counts=1&counts=y&colour=blue&shop=a&shop=b&line=1%20"), 400,
			`{"code":"invalid_argument","message":"colour must be one of \"red\", \"green\"; counts element 1 must be an integer; id must be an integer; paid must be true or false; price must be a number; shop is given 2 times: once is right",` +
				`"fields":[{"field":"colour","message":"must be one of \"red\", \"green\""},{"field":"counts","message":"element 1 must be an integer"},{"field":"id","message":"must be an integer"},{"field":"paid","message":"must be true or false"},{"field":"price","message":"must be a number"},{"field":"shop","message":"is given 2 times: once is right"}]}`},
		{"what is required", get("/v1/orders"), 400,
			`{"code":"invalid_argument","message":"id is required","fields":[{"field":"id","message":"is required"}]}`},
		{"no JSON", typed("POST", "/v1/a/orders/1", jsonType, `{"a":`), 400,
			`{"code":"invalid_argument","message":"the body is no JSON object: unexpected EOF"}`},
		{"no object", typed("POST", "/v1/a/orders/1", jsonType, `[1]`), 400,
			`{"code":"invalid_argument","message":"the body is JSON, but no object"}`},
		{"two objects", typed("POST", "/v1/a/orders/1", jsonType, `{}{}`), 400,
			`{"code":"invalid_argument","message":"something follows the JSON object of the body"}`},
		{"a broken query", get("/v1/orders?a=%zz"), 400,
			`{"code":"invalid_argument","message":"the query cannot be read: invalid URL escape \"%zz\""}`},
		{"a broken form", typed("POST", "/v1/a/orders/1", formType, "a=%zz"), 400,
			`{"code":"invalid_argument","message":"the form cannot be read: invalid URL escape \"%zz\""}`},
		{"text", typed("POST", "/v1/a/orders/1", "text/plain", "{}"), 415,
			`{"code":"invalid_argument","message":"Content-Type is \"text/plain\": a body is application/json or a form"}`},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, serve(g, test.request), test.status, test.body) })
	}
}

// A browser sends forms for pages of any origin.
func TestBindRefusesFormsOfOtherOrigins(t *testing.T) {
	g := newOrders(t)
	for _, test := range []struct {
		contentType, body, site string
		status                  int
	}{
		{formType, "price=1", "cross-site", 403},
		{formType, "price=1", "same-origin", 200},
		{"", "", "cross-site", 403},
		{jsonType, "{}", "cross-site", 200}, // which a browser asks about first
	} {
		r := typed("POST", "/v1/a/orders/1", test.contentType, test.body)
		r.Header.Set("Sec-Fetch-Site", test.site)
		if res := serve(g, r); res.StatusCode != test.status {
			t.Errorf("%q from %s: answered %d %s, want %d", test.contentType, test.site, res.StatusCode, bodyOf(t, res), test.status)
		}
	}
}

// guessing is a backend that tells nothing of its types, and answers with the
// request.
type guessing struct{}

func (guessing) Do(_ context.Context, m *protocol.Message) (*protocol.Message, error) {
	return m.Clone(), nil
}

func (guessing) Services(context.Context) ([]protocol.ServiceInfo, error) {
	return []protocol.ServiceInfo{{Name: "Old", Methods: []protocol.MethodInfo{{Name: "Way", RequestSchema: "{"}}}}, nil
}

func TestBindGuessesWhereTypesAreUnknown(t *testing.T) {
	g, err := gateway.New(guessing{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Bind("/old/{id}", "Old.Way"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		request *http.Request
		want    string
	}{
		{get("/old/7?a=true&b=x&c=1&c=y&d=007&e=1e3&f=null"), `{"a":true,"b":"x","c":[1,"y"],"d":"007","e":1e3,"f":"null","id":7}`},
		{typed("POST", "/old/x", jsonType, `{"id":1,"z":{"deep":[1,2]}}`), `{"id":"x","z":{"deep":[1,2]}}`},
	} {
		expect(t, serve(g, test.request), 200, test.want)
	}
}

func FuzzBind(f *testing.F) {
	s, err := server.NewSGServer(nil)
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	if err := s.Register(Orders{}); err != nil {
		f.Fatal(err)
	}
	g, err := gateway.New(s, nil)
	if err != nil {
		f.Fatal(err)
	}
	if err := g.Bind("POST /o/{id}", "Orders.Update"); err != nil {
		f.Fatal(err)
	}
	f.Add("/o/1?price=2", jsonType, `{"tags":["a"],"ID":3}`)
	f.Add("/o/x?counts=1&counts=b", formType, "colour=red")
	f.Add("/o/1", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"shop\"\r\n\r\n1\r\n--x--")
	f.Fuzz(func(t *testing.T, target, contentType, body string) {
		r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(r.URL.Path, "/o/") {
			return
		}
		r.Header.Set("Content-Type", contentType)
		res := serve(g, r)
		if res.StatusCode >= http.StatusInternalServerError {
			t.Errorf("answered %d %s", res.StatusCode, bodyOf(t, res))
		}
		if res.StatusCode != http.StatusOK {
			return
		}
		var got Order
		if err := json.Unmarshal([]byte(bodyOf(t, res)), &got); err != nil {
			t.Fatal(err)
		}
		if path := strings.TrimPrefix(r.URL.Path, "/o/"); jsonNumber(got.ID) != path {
			t.Errorf("the path says %q, the method got %d", path, got.ID)
		}
	})
}

func jsonNumber(n int64) string {
	encoded, _ := json.Marshal(n) // a number always encodes
	return string(encoded)
}
