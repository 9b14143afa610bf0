package params_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"testing"

	"github.com/sinew-rpc/sinew/gateway/internal/params"
)

func TestNames(t *testing.T) {
	for pattern, want := range map[string][]string{
		"GET /orders/{id}/{rest...}": {"id", "rest"},
		"/orders/{$}":                nil,
		"/plain":                     nil,
		"POST example.org/{a}/x/{b}": {"a", "b"},
		"/{open":                     nil,
		"":                           nil,
	} {
		if got := params.Names(pattern); !reflect.DeepEqual(got, want) {
			t.Errorf("%q names %q, want %q", pattern, got, want)
		}
	}
}

func TestCollect(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/?a=1&a=2&ID=3&b=4&%C5%BFhop=5", nil)
	r.SetPathValue("id", "path")
	r.SetPathValue("shop", "corner")
	got, err := params.Collect(r, []string{"id", "shop"}, url.Values{"B": {"form"}, "Id": {"form"}})
	want := url.Values{"a": {"1", "2"}, "B": {"form"}, "id": {"path"}, "shop": {"corner"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	r.URL.RawQuery = "a=%zz"
	if _, err := params.Collect(r, nil, nil); err == nil {
		t.Error("a query that is none was taken")
	}
}

func TestForms(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/x-www-form-urlencoded; charset=utf-8": true,
		"multipart/form-data; boundary=x":                  true,
		"application/json":                                 false,
		"":                                                 false,
		"multipart/form-data; boundary":                    false,
	} {
		if params.IsForm(contentType) != want {
			t.Errorf("%q is a form: %v, want %v", contentType, !want, want)
		}
	}
	for body, contentType := range map[string]string{
		"--x\r\nContent-Disposition": "multipart/form-data; boundary=x",
		"a=%":                        "application/x-www-form-urlencoded",
		"x":                          "multipart/form-data",
		"y":                          ";",
	} {
		if form, err := params.Form(contentType, []byte(body)); err == nil {
			t.Errorf("%q was taken as %v", body, form)
		}
	}
}

// Names that encoding/json takes for one are one.
func TestFold(t *testing.T) {
	for _, same := range [][]string{{"shop", "SHOP", "ſhop"}, {"key", "KEY", "Key"}, {"straße", "STRAßE"}, {"", ""}} {
		for _, name := range same {
			if params.Fold(name) != params.Fold(same[0]) {
				t.Errorf("%q and %q are two names", name, same[0])
			}
		}
	}
	if params.Fold("a") == params.Fold("b") {
		t.Error("a and b are one name")
	}
}

func TestFormsOfManyParts(t *testing.T) {
	for parts, taken := range map[int]bool{10_000: true, 10_001: false} {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for i := range parts {
			if err := w.WriteField(strconv.Itoa(i), "x"); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		form, err := params.Form(w.FormDataContentType(), body.Bytes())
		if (err == nil) != taken || taken && len(form) != parts {
			t.Errorf("of %d parts: %d fields, %v", parts, len(form), err)
		}
	}
}
