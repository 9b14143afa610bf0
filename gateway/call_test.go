package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// meta asks what the provider got under key.
func meta(t *testing.T, g *gateway.Gateway, key string, headers ...string) string {
	t.Helper()
	return bodyOf(t, serve(g, post("/Arith/Meta", `{"Key":"`+key+`"}`, headers...)))
}

func present(value string) string { return `{"Value":"` + value + `","Present":true}` }

const absent = `{"Value":"","Present":false}`

func TestHeadersBecomeMetadata(t *testing.T) {
	option := &gateway.Option{Headers: append(gateway.DefaultHeaders(), "X-Tenant", "X-Shop-*", "Proxy-*")}
	everywhere(t, option, func(t *testing.T, g *gateway.Gateway) {
		for _, test := range []struct {
			name, key, want string
			headers         []string
		}{
			{"one that is named", "x-tenant", present("acme"), []string{"X-Tenant", "acme"}},
			{"one by its beginning", "x-shop-id", present("7"), []string{"X-Shop-Id", "7"}},
			{"trace context", "traceparent", present("00-a-b-01"), []string{"Traceparent", "00-a-b-01"}},
			{"one that is not named", "x-other", absent, []string{"X-Other", "1"}},
			{"credentials", "sinew-auth", present("hello01"), []string{"Authorization", "hello01"}},
			{"a bearer's token", "sinew-auth", present("a.b.c"), []string{"Authorization", "bearer a.b.c"}},
			{"no credentials", "sinew-auth", absent, nil},
			{"a tag", "sinew-tag-idc", present("lf"), []string{"Sinew-Tag-Idc", "lf"}},
			{"a key of the framework", "sinew-priority", absent, []string{"Sinew-Priority", "9"}},
			{"credentials under the framework's name", "sinew-auth", absent, []string{"Sinew-Auth", "stolen"}},
			{"a header of this hop", "proxy-authorization", absent, []string{"Proxy-Authorization", "1"}},
			{"trace context that Connection names", "traceparent", absent, []string{"Traceparent", "00-a-b-01", "Connection", "close, traceparent"}},
			{"a request id", "sinew-request-id", present("r-1"), []string{"X-Request-Id", "r-1"}},
		} {
			t.Run(test.name, func(t *testing.T) {
				if got := meta(t, g, test.key, test.headers...); got != test.want {
					t.Errorf("the provider got %s under %s, want %s", got, test.key, test.want)
				}
			})
		}
	})
}

// What middleware says of a caller, that cannot take back: it writes Connection.
func TestConnectionTakesNothingFromMiddleware(t *testing.T) {
	option := &gateway.Option{Headers: []string{"X-Tenant", "X-Shop-*"}}
	everywhere(t, option, func(t *testing.T, g *gateway.Gateway) {
		g.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for name, value := range map[string]string{"X-Tenant": "acme", "X-Shop-Id": "7", "Sinew-Tag-Idc": "lf"} {
					r.Header.Set(name, value)
				}
				next.ServeHTTP(w, r)
			})
		})
		for key, want := range map[string]string{"x-tenant": "acme", "x-shop-id": "7", "sinew-tag-idc": "lf"} {
			got := meta(t, g, key, "Connection", "keep-alive, x-tenant, x-shop-id, sinew-tag-idc")
			if got != present(want) {
				t.Errorf("the provider got %s under %s", got, key)
			}
		}
	})
}

func TestMetadataIsCheckedBeforeTheCall(t *testing.T) {
	everywhere(t, &gateway.Option{Headers: []string{"X-*"}}, func(t *testing.T, g *gateway.Gateway) {
		for name, headers := range map[string][]string{
			"a line break":             {"X-A", "1\r\nsinew-auth: root"},
			"a NUL":                    {"X-A", "a\x00b"},
			"a name that is no key":    {"X-A!", "1"},
			"too much":                 {"X-A", strings.Repeat("x", protocol.MaxMetaSize)},
			"a tag with a line break":  {"Sinew-Tag-A", "1\n"},
			"credentials with a break": {"Authorization", "a\nb"},
		} {
			res := serve(g, post("/Arith/Add", `{}`, headers...))
			if body := bodyOf(t, res); res.StatusCode != http.StatusBadRequest || res.Header.Get("Sinew-Outcome") != "NotSent" {
				t.Errorf("%s: answered %d %s", name, res.StatusCode, body)
			}
		}
		r := post("/Arith/Add", `{}`)
		r.Header["Authorization"] = []string{"a", "b"}
		expect(t, serve(g, r), http.StatusBadRequest, `{"code":"invalid_argument","message":"the request has 2 Authorization headers: send one"}`)
	})
}

func TestRepeatedHeadersAreJoined(t *testing.T) {
	g := newGateway(t, "beside", newArith(), &gateway.Option{Headers: []string{"X-A"}})
	r := post("/Arith/Meta", `{"Key":"x-a"}`)
	r.Header["X-A"] = []string{"1", "2"}
	expect(t, serve(g, r), http.StatusOK, present("1, 2"))
}

func TestReplyMetadataBecomesHeaders(t *testing.T) {
	everywhere(t, &gateway.Option{Headers: []string{"X-A"}}, func(t *testing.T, g *gateway.Gateway) {
		res := serve(g, post("/Arith/Meta", `{"Key":"x-a"}`, "X-A", "é1"))
		if got := res.Header.Get("X-Echo"); got != "é1" {
			t.Errorf("X-Echo is %q", got)
		}
	})
}

// What a reply varies by is said beside what CORS or a compression varies by, once.
func TestReplyMetadataAddsToVary(t *testing.T) {
	h := http.Header{"Vary": {"Origin"}}
	for range 2 {
		if err := gateway.WriteMeta(h, map[string]string{"vary": "Accept-Language"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := h["Vary"]; !slices.Equal(got, []string{"Origin", "Accept-Language"}) {
		t.Errorf("Vary is %q", got)
	}
}

func TestWriteMeta(t *testing.T) {
	h := make(http.Header)
	err := gateway.WriteMeta(h, map[string]string{
		"x-a": "1", "sinew-auth": "secret", "connection": "close", "transfer-encoding": "chunked", "content-length": "7",
		"content-type": "text/html", "access-control-allow-origin": "*", "x-request-id": "forged", "keep-alive": "1",
	})
	if err != nil || len(h) != 1 || h.Get("X-A") != "1" {
		t.Errorf("%v, %v", h, err)
	}
	for _, value := range []string{"a\r\nSet-Cookie: b", "a\x00", "\x7f"} {
		h := make(http.Header)
		err := gateway.WriteMeta(h, map[string]string{"x-a": value, "x-b": "1"})
		if protocol.CodeOf(err) != protocol.Internal || len(h) != 0 {
			t.Errorf("%q: %v, %v", value, h, err)
		}
	}
}

func TestRequestIDsGoBothWays(t *testing.T) {
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		for _, sent := range []string{"", "with space", "ü", strings.Repeat("x", 129)} {
			res := serve(g, post("/Arith/Meta", `{"Key":"sinew-request-id"}`, "X-Request-Id", sent))
			id := res.Header.Get("X-Request-Id")
			if len(id) != 32 || id == sent {
				t.Errorf("the id %q was answered with %q", sent, id)
			}
			expect(t, res, http.StatusOK, present(id))
		}
		res := serve(g, httptest.NewRequest(http.MethodGet, "/", nil))
		if res.Header.Get("X-Request-Id") == "" {
			t.Error("a request that is no call has no id")
		}
	})
}

func TestAuthorize(t *testing.T) {
	option := &gateway.Option{Authorize: func(r *http.Request, serviceMethod string) (string, error) {
		switch r.Header.Get("X-Who") {
		case "friend":
			return "token of " + serviceMethod, nil
		case "stranger":
			return "", protocol.NewError(protocol.PermissionDenied, "not you")
		}
		return "", errors.New("who is there?")
	}}
	everywhere(t, option, func(t *testing.T, g *gateway.Gateway) {
		expect(t, serve(g, post("/Arith/Meta", `{"Key":"sinew-auth"}`, "X-Who", "friend", "Authorization", "own")), http.StatusOK, present("token of Arith.Meta"))
		expect(t, serve(g, post("/Arith/Add", `{}`, "X-Who", "stranger")), http.StatusForbidden, `{"code":"permission_denied","message":"not you"}`)
		res := serve(g, post("/Arith/Add", `{}`))
		expect(t, res, http.StatusUnauthorized, `{"code":"unauthenticated","message":"who is there?"}`)
		if res.Header.Get("Www-Authenticate") != "Bearer" {
			t.Errorf("a 401 without WWW-Authenticate: %v", res.Header)
		}
		if err := g.Authorize(post("/", "", "X-Who", "friend")); err != nil {
			t.Error(err)
		}
		if err := g.Authorize(post("/", "")); protocol.CodeOf(err) != protocol.Unauthenticated {
			t.Error(err)
		}
	})
}

func TestErrorsCarryWhatTheySay(t *testing.T) {
	everywhere(t, nil, func(t *testing.T, g *gateway.Gateway) {
		res := serve(g, post("/Arith/Fail", `{"Text":"busy"}`))
		expect(t, res, http.StatusTooManyRequests, `{"code":"resource_exhausted","message":"come back"}`)
		if res.Header.Get("Retry-After") != "2" || res.Header.Get("X-Queue") != "7" || res.Header.Get("Sinew-Outcome") != "Ran" {
			t.Errorf("%v", res.Header)
		}
		expect(t, serve(g, post("/Arith/Fail", `{"Text":"plain"}`)), http.StatusInternalServerError, `{"code":"unknown","message":"line one\nline two: ü"}`)
		expect(t, serve(g, post("/Arith/Fail", `{}`)), http.StatusInternalServerError, `{"code":"internal","message":"\"Arith.Fail\" panicked; the server's log has the stack"}`)
	})
}

func TestDeadlines(t *testing.T) {
	for _, headers := range [][]string{
		{"Connect-Timeout-Ms", "250"},
		{"Timeout", "250"},
		{"Timeout", "250ms"},
		{"Timeout", "0.25s"},
		{"Timeout", "1h", "Connect-Timeout-Ms", "250"},
		{"Timeout", "250ms", "Connect-Timeout-Ms", "99999"},
	} {
		for _, place := range places {
			t.Run(place+strings.Join(headers, " "), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					arith := newArith()
					g := newGateway(t, place, arith, nil)
					begun := time.Now()
					res := serve(g, post("/Arith/Wait", `{}`, headers...))
					if took := time.Since(begun); took != 250*time.Millisecond {
						t.Errorf("answered after %v, want 250 ms", took)
					}
					if body := bodyOf(t, res); res.StatusCode != http.StatusGatewayTimeout || !strings.HasPrefix(body, `{"code":"deadline_exceeded"`) {
						t.Errorf("answered %d %s", res.StatusCode, body)
					}
					if err := <-arith.ended; !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
						t.Errorf("the handler's context ended by %v", err)
					}
				})
			})
		}
	}
}

func TestDeadlinesThatAreNone(t *testing.T) {
	g := newGateway(t, "beside", newArith(), nil)
	for _, headers := range [][]string{
		{"Connect-Timeout-Ms", "-1"}, {"Connect-Timeout-Ms", "12345678901"}, {"Connect-Timeout-Ms", "1s"},
		{"Timeout", "soon"}, {"Timeout", "-1s"}, {"Connect-Timeout-Ms", "+5"},
	} {
		if res := serve(g, post("/Arith/Add", `{}`, headers...)); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: answered %d", headers, res.StatusCode)
		}
	}
	if res := serve(g, post("/Arith/Add", `{}`, "Timeout", "0")); res.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("a caller that does not wait got %d", res.StatusCode)
	}
}

func TestRequestTimeoutBoundsCalls(t *testing.T) {
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGateway(t, place, newArith(), &gateway.Option{RequestTimeout: time.Second})
				begun := time.Now()
				res := serve(g, post("/Arith/Wait", `{}`, "Timeout", "1h"))
				if took := time.Since(begun); took != time.Second || res.StatusCode != http.StatusGatewayTimeout {
					t.Errorf("answered %d after %v, want 504 after 1 s", res.StatusCode, took)
				}
			})
		})
	}
}

func TestCallerThatLeavesCancelsTheHandler(t *testing.T) {
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arith := newArith()
				g := newGateway(t, place, arith, nil)
				ctx, leave := context.WithCancel(t.Context())
				answered := make(chan *http.Response)
				go func() { answered <- serve(g, post("/Arith/Wait", `{}`).WithContext(ctx)) }()
				<-arith.entered
				leave()
				if err := <-arith.ended; !errors.Is(err, context.Canceled) {
					t.Errorf("the handler's context ended by %v", err)
				}
				if res := <-answered; res.StatusCode != 499 {
					t.Errorf("logs would say %d, want 499", res.StatusCode)
				}
			})
		})
	}
}

// stubborn is a backend that answers when it is told to, whatever its context
// says.
type stubborn struct {
	gateway.Backend
	release chan struct{}
}

func (s stubborn) Do(context.Context, *protocol.Message) (*protocol.Message, error) {
	<-s.release
	return &protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON}}, nil
}

func TestBackendThatIgnoresItsContextHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := stubborn{release: make(chan struct{})}
		g, err := gateway.New(backend, &gateway.Option{RequestTimeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		res := serve(g, post("/Arith/Add", `{}`))
		expect(t, res, http.StatusGatewayTimeout, `{"code":"deadline_exceeded","message":"no answer within 1s"}`)
		if took := time.Since(begun); took < time.Second || took > 2*time.Second || res.Header.Get("Sinew-Outcome") != "MaybeRun" {
			t.Errorf("after %v, outcome %q", took, res.Header.Get("Sinew-Outcome"))
		}
		closed := make(chan error)
		go func() { closed <- g.Close() }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close did not wait for the call that runs")
		default:
		}
		close(backend.release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		res = serve(g, post("/Arith/Add", `{}`))
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Sinew-Outcome") != "NotSent" {
			t.Errorf("a closed gateway answered %d", res.StatusCode)
		}
	})
}

// odd is a backend that breaks its promises.
type odd struct {
	gateway.Backend
	do func() (*protocol.Message, error)
}

func (o odd) Do(context.Context, *protocol.Message) (*protocol.Message, error) { return o.do() }

func TestBackendsThatBreakTheirPromises(t *testing.T) {
	for name, test := range map[string]struct {
		do   func() (*protocol.Message, error)
		want string
	}{
		"panics":          {func() (*protocol.Message, error) { panic("spilt ink") }, "the backend panicked; the gateway's log has the stack"},
		"says nothing":    {func() (*protocol.Message, error) { return nil, nil }, "the backend answered neither a message nor an error"},
		"answers msgpack": {func() (*protocol.Message, error) { return new(protocol.Message), nil }, "Arith.Add answered msgpack to a request in JSON"},
		"does not inflate": {func() (*protocol.Message, error) {
			return &protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, CompressType: protocol.CompressTypeGzip}, Body: []byte("x")}, nil
		}, "the reply of Arith.Add: protocol: compressed body is corrupt: unexpected EOF"},
		"breaks the header": {func() (*protocol.Message, error) {
			return &protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, MetaData: map[string]string{"x": "\n"}}}, nil
		}, `the reply's metadata "x" holds control characters and does not travel as a header`},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := gateway.New(odd{do: test.do}, nil)
			if err != nil {
				t.Fatal(err)
			}
			res := serve(g, post("/Arith/Add", `{}`))
			if body := bodyOf(t, res); res.StatusCode != http.StatusInternalServerError || !strings.Contains(body, strings.ReplaceAll(test.want, `"`, `\"`)) {
				t.Errorf("answered %d %s", res.StatusCode, body)
			}
		})
	}
}

// A provider compresses what its client takes; the gateway's JSON does not.
func TestCompressedRepliesAreInflated(t *testing.T) {
	g, err := gateway.New(odd{do: func() (*protocol.Message, error) {
		body, err := protocol.Compress(protocol.CompressTypeZstd, nil, []byte(`{"C":3}`))
		return &protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON, CompressType: protocol.CompressTypeZstd}, Body: body}, err
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, serve(g, post("/Arith/Add", `{}`)), http.StatusOK, `{"C":3}`)
}

func TestServicesOfTheFrameworkByOption(t *testing.T) {
	shown := odd{do: func() (*protocol.Message, error) {
		return &protocol.Message{Header: protocol.Header{SerializeType: protocol.SerializeTypeJSON}, Body: []byte(`1`)}, nil
	}}
	for _, internal := range []bool{false, true} {
		g, err := gateway.New(listing{shown}, &gateway.Option{Internal: internal})
		if err != nil {
			t.Fatal(err)
		}
		infos, err := g.Services(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		status := serve(g, post("/sinew.Stats/Read", `{}`)).StatusCode
		if internal && (status != 200 || len(infos) != 3) || !internal && (status != 501 || len(infos) != 1) {
			t.Errorf("Internal %v: status %d, services %v", internal, status, infos)
		}
	}
}

// listing lists services of the framework too.
type listing struct{ gateway.Backend }

func (listing) Services(context.Context) ([]protocol.ServiceInfo, error) {
	return []protocol.ServiceInfo{{Name: "Arith"}, {Name: "sinew"}, {Name: "sinew.Stats"}}, nil
}

// The server's own chain governs requests of a gateway beside it; a client of many
// does not go to a provider that lacks a call's tags.
func TestServersOwnRulesApply(t *testing.T) {
	for place, refused := range map[string]struct {
		status int
		code   string
	}{
		"beside": {http.StatusBadRequest, "failed_precondition"},
		"alone":  {http.StatusServiceUnavailable, "unavailable"},
	} {
		backend := newBackend(t, place, newArith(), server.Option{Tags: map[string]string{"idc": "lf"}})
		g, err := gateway.New(backend, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res := serve(g, post("/Arith/Add", `{"A":1}`, "Sinew-Tag-Idc", "lf")); res.StatusCode != http.StatusOK {
			t.Errorf("%s: a request of the right tag was answered %d %s", place, res.StatusCode, bodyOf(t, res))
		}
		res := serve(g, post("/Arith/Add", `{}`, "Sinew-Tag-Idc", "hb"))
		if body := bodyOf(t, res); res.StatusCode != refused.status || !strings.Contains(body, refused.code) {
			t.Errorf("%s: a request of another tag was answered %d %s", place, res.StatusCode, body)
		}
	}
}
