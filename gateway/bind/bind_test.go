package bind_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/bind"
	"github.com/sinew-rpc/sinew/protocol"
)

type item struct {
	Count int `json:"count" validate:"min=1"`
}

type order struct {
	ID     int64    `json:"id" validate:"required"`
	Notes  []string `json:"notes,omitempty" validate:"max=2,dive,max=5"`
	Paid   bool     `json:"paid"`
	Colour string   `json:"colour" validate:"omitempty,oneof=red green"`
	Items  []item   `json:"items" validate:"dive"`
	Sizes  []int    `json:"sizes"`
	Plain  string
}

// request asks the route POST /orders/{id}.
func request(t *testing.T, target, contentType, body string) (order, error) {
	t.Helper()
	var got order
	var err error
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{id}", func(_ http.ResponseWriter, r *http.Request) { err = bind.Request(r, &got) })
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	mux.ServeHTTP(httptest.NewRecorder(), r)
	return got, err
}

func TestRequestTakesFromEverywhere(t *testing.T) {
	var multi bytes.Buffer
	w := multipart.NewWriter(&multi)
	if err := w.WriteField("colour", "green"); err != nil {
		t.Fatal(err)
	}
	file, err := w.CreateFormFile("notes", "a.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(file, "not a field"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, target, contentType, body string
		want                            order
	}{
		{"path and query", "/orders/7?paid=true&notes=a&notes=b&Plain=x", "", "", order{ID: 7, Paid: true, Notes: []string{"a", "b"}, Plain: "x"}},
		{"JSON", "/orders/7", "application/json", `{"colour":"red","items":[{"count":2}]}`, order{ID: 7, Colour: "red", Items: []item{{2}}}},
		{"a form", "/orders/7?colour=red", "application/x-www-form-urlencoded", "colour=green&items.0.count=3", order{ID: 7, Colour: "green", Items: []item{{3}}}},
		{"a form of parts", "/orders/7", w.FormDataContentType(), multi.String(), order{ID: 7, Colour: "green"}},
		{"the path wins", "/orders/7?id=8&ID=9", "application/json", `{"id":9}`, order{ID: 7}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := request(t, test.target, test.contentType, test.body)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestRequestNamesTheFields(t *testing.T) {
	for _, test := range []struct {
		name, target, contentType, body string
		status                          int
		want                            string
	}{
		{"a path that is no number", "/orders/x", "", "", 400,
			`InvalidArgument: id must be an integer`},
		{"a list that is none of numbers", "/orders/1?items.0.count=x&items.1.count=1&sizes=1&sizes=y", "", "", 400,
			`InvalidArgument: items.0.count must be an integer; sizes element 1 must be an integer`},
		{"rules", "/orders/0?colour=blue&notes=a&notes=b&notes=c", "application/json", `{"items":[{"count":1},{"count":0}]}`, 400,
			`InvalidArgument: colour must be one of red green; id is required; items.1.count must be at least 1; notes must be at most 2 elements long`},
		{"a rule within a list", "/orders/1?notes=too+long", "", "", 400,
			`InvalidArgument: notes.0 must be at most 5 characters long`},
		{"the wrong type in JSON", "/orders/1", "application/json", `{"items":[{"count":"two"}]}`, 400,
			`InvalidArgument: items.count must be an integer, not a string`},
		{"no JSON", "/orders/1", "application/json", `{`, 400,
			`InvalidArgument: the body is no JSON for this: unexpected end of JSON input`},
		{"neither JSON nor form", "/orders/1", "text/plain", `{}`, 415,
			`InvalidArgument: Content-Type is "text/plain": a call needs application/json (curl: -H 'Content-Type: application/json', or --json in place of -d)`},
		{"a query that is none", "/orders/1?a=%zz", "", "", 400,
			`InvalidArgument: the query cannot be read: invalid URL escape "%zz"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := request(t, test.target, test.contentType, test.body)
			if err == nil || err.Error() != test.want {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			if status := gateway.StatusOf(err); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
		})
	}
}

func TestRequestIsBounded(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", io.LimitReader(neverEnding{}, bind.MaxBody+1))
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/json")
	if err := bind.Request(r, new(order)); gateway.StatusOf(err) != http.StatusRequestEntityTooLarge || protocol.CodeOf(err) != protocol.ResourceExhausted {
		t.Errorf("%v", err)
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func ExampleRequest() {
	type search struct {
		Shop string `json:"shop"`
		Page int    `json:"page" validate:"min=1"`
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /shops/{shop}/items", func(w http.ResponseWriter, r *http.Request) {
		var s search
		if err := bind.Request(r, &s); err != nil {
			gateway.WriteError(w, err)
			return
		}
		fmt.Fprintf(w, "page %d of %s", s.Page, s.Shop)
	})
	for _, target := range []string{"/shops/corner/items?page=3", "/shops/corner/items?page=0"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 page 3 of corner
	// 400 {"code":"invalid_argument","message":"page must be at least 1","fields":[{"field":"page","message":"must be at least 1"}]}
}

func FuzzRequest(f *testing.F) {
	f.Add("/?id=1&notes=a", "application/json", `{"items":[{"count":1}]}`)
	f.Add("/?items.-1.count=3", "", "")
	f.Add("/?items.0.count=1", "application/x-www-form-urlencoded", "id=1&colour=red")
	f.Add("/", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n1\r\n--x--")
	f.Fuzz(func(t *testing.T, target, contentType, body string) {
		r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header.Set("Content-Type", contentType)
		var o order
		if err := bind.Request(r, &o); err != nil {
			if status := gateway.StatusOf(err); status < 400 || status >= 500 {
				t.Errorf("status %d: %v", status, err)
			}
			return
		}
		if o.ID == 0 {
			t.Errorf("%+v passed, without the id that it needs", o)
		}
	})
}
