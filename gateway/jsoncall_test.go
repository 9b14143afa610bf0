package gateway_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
)

func TestJSONCall(t *testing.T) {
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		res := serve(g, post("/Arith/Add", `{"A":1,"B":2}`))
		expect(t, res, http.StatusOK, `{"C":3}`)
		if got := res.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type is %q", got)
		}
	})
}

func TestJSONCallFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		request func() *http.Request
		status  int
		body    string
		outcome string
	}{
		{"a method's error", func() *http.Request { return post("/Arith/Divide", `{"A":1}`) }, 400,
			`{"code":"out_of_range","message":"division by zero"}`, "Ran"},
		{"an unknown service", func() *http.Request { return post("/Nobody/Add", `{}`) }, 501,
			`{"code":"unimplemented","message":"unknown service \"Nobody\""}`, "Refused"},
		{"an unknown method", func() *http.Request { return post("/Arith/Subtract", `{}`) }, 501,
			`{"code":"unimplemented","message":"unknown method \"Arith.Subtract\""}`, "Refused"},
		{"a service of the framework", func() *http.Request { return post("/sinew.Secrets/Read", `{}`) }, 501,
			`{"code":"unimplemented","message":"unknown service \"sinew.Secrets\""}`, "NotSent"},
		{"malformed JSON", func() *http.Request { return post("/Arith/Add", `{"A":1,`) }, 400,
			`{"code":"invalid_argument","message":"Arith.Add: protocol: cannot decode json into *gateway_test.Operands: it declares more than its bytes hold"}`, "Refused"},
		{"a form", func() *http.Request {
			return post("/Arith/Add", `{}`, "Content-Type", "application/x-www-form-urlencoded")
		}, 415,
			`{"code":"invalid_argument","message":"Content-Type is \"application/x-www-form-urlencoded\": a call needs application/json (curl: -H 'Content-Type: application/json', or --json in place of -d)"}`, "NotSent"},
		{"another charset", func() *http.Request {
			return post("/Arith/Add", `{}`, "Content-Type", "application/json; charset=latin1")
		}, 415,
			`{"code":"invalid_argument","message":"Content-Type is \"application/json; charset=latin1\": a call needs application/json (curl: -H 'Content-Type: application/json', or --json in place of -d)"}`, "NotSent"},
		{"another encoding", func() *http.Request { return post("/Arith/Add", `{}`, "Content-Encoding", "br") }, 415,
			`{"code":"unimplemented","message":"Content-Encoding \"br\" is not known here: send gzip or identity"}`, "NotSent"},
		{"another version of Connect", func() *http.Request { return post("/Arith/Add", `{}`, "Connect-Protocol-Version", "2") }, 400,
			`{"code":"invalid_argument","message":"Connect-Protocol-Version is \"2\": 1 is spoken here"}`, "NotSent"},
		{"GET", func() *http.Request { return httptest.NewRequest(http.MethodGet, "/Arith/Add", nil) }, 405,
			`{"code":"unimplemented","message":"calls are made by POST, not by \"GET\""}`, "NotSent"},
		{"nothing there", func() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }, 404,
			`{"code":"unimplemented","message":"nothing is served at \"/\"; calls are POST /{Service}/{Method}"}`, "NotSent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
				res := serve(g, test.request())
				expect(t, res, test.status, test.body)
				if got := res.Header.Get("Sinew-Outcome"); got != test.outcome {
					t.Errorf("outcome %s, want %s", got, test.outcome)
				}
			})
		})
	}
}

func TestGzipBothWays(t *testing.T) {
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		if _, err := z.Write([]byte(`{"A":1000}`)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		want := `{"Text":"` + strings.Repeat("sinew ", 1000) + `"}`
		request := func(accept string) *http.Request {
			return post("/Arith/Repeat", zipped.String(), "Content-Encoding", "gzip", "Accept-Encoding", accept)
		}
		for _, accept := range []string{"gzip", "br;q=1.0, gzip;q=0.8", "*"} {
			res := serve(g, request(accept))
			if res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") != "Accept-Encoding" {
				t.Fatalf("Accept-Encoding %q: %v", accept, res.Header)
			}
			z, err := gzip.NewReader(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			res.Body = z
			expect(t, res, http.StatusOK, want)
		}
		for _, accept := range []string{"", "br", "gzip;q=0", "*;q=0.0", "*, gzip;q=0"} {
			res := serve(g, request(accept))
			if res.Header.Get("Content-Encoding") != "" {
				t.Errorf("Accept-Encoding %q: %v", accept, res.Header)
			}
			expect(t, res, http.StatusOK, want)
		}
		res := serve(g, post("/Arith/Add", "no gzip at all", "Content-Encoding", "gzip"))
		expect(t, res, http.StatusBadRequest, `{"code":"invalid_argument","message":"the body cannot be read: gzip: invalid header"}`)
	})
}
