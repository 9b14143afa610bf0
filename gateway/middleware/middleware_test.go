package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/middleware"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/ratelimit"
)

// answering is a handler that answers with status and text.
func answering(status int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	})
}

func ask(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get() *http.Request { return httptest.NewRequest(http.MethodGet, "/orders?token=secret", nil) }

func TestRecover(t *testing.T) {
	var told string
	wrap := middleware.Recover(func(r *http.Request, value any, stack []byte) {
		told = fmt.Sprint(r.URL.Path, " ", value, " ", bytes.Contains(stack, []byte("TestRecover")))
	})
	w := ask(wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("spilt ink") })), get())
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"code":"internal"`) || told != "/orders spilt ink true" {
		t.Errorf("answered %d %s; told %q", w.Code, w.Body, told)
	}
	if w := ask(wrap(answering(http.StatusTeapot, "tea")), get()); w.Code != http.StatusTeapot {
		t.Errorf("answered %d", w.Code)
	}
}

// What a handler said of its body before it panicked is not true of the error.
func TestRecoverAnswersInWhole(t *testing.T) {
	h := middleware.Recover(func(*http.Request, any, []byte) {})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Content-Encoding", "br")
		panic("spilt ink")
	}))
	web := httptest.NewServer(h)
	defer web.Close()
	res, err := web.Client().Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusInternalServerError || !json.Valid(body) || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("answered %d %q, %v", res.StatusCode, body, err)
	}
}

// aborted tells whether serving r was broken off.
func aborted(h http.Handler, r *http.Request) (yes bool) {
	defer func() { yes = recover() == http.ErrAbortHandler }()
	ask(h, r)
	return false
}

func TestRecoverBreaksOffHalfAResponse(t *testing.T) {
	var log bytes.Buffer
	sinew.SetLogger(slog.NewTextHandler(&log, nil))
	defer sinew.SetLogger(nil)
	wrap := middleware.Recover(nil)
	half := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half")
		panic("spilt ink")
	})
	if !aborted(wrap(half), get()) || !strings.Contains(log.String(), "spilt ink") {
		t.Errorf("half a response was left as a whole one; log %s", &log)
	}
	log.Reset()
	if !aborted(wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })), get()) || log.Len() > 0 {
		t.Errorf("http.ErrAbortHandler did not pass; log %s", &log)
	}
}

func TestAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got middleware.Access
		wrap := middleware.AccessLog(func(a middleware.Access) { got = a })
		slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprint(w, "tea")
		})
		r := get()
		r.Header.Set("X-Request-Id", "r-1")
		ask(wrap(slow), r)
		want := middleware.Access{Method: "GET", Path: "/orders", Remote: r.RemoteAddr, RequestID: "r-1", Status: http.StatusTeapot, Bytes: 3, Took: time.Second}
		if got != want {
			t.Errorf("logged %+v, want %+v", got, want)
		}
		ask(wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), r)
		if got.Status != http.StatusOK {
			t.Errorf("a handler that wrote nothing is logged as %d", got.Status)
		}
		if !aborted(wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })), r) || got.Status != http.StatusInternalServerError {
			t.Errorf("a handler that panicked is logged as %d", got.Status)
		}
	})
}

func TestAccessLogByDefault(t *testing.T) {
	var log bytes.Buffer
	defer sinew.SetLogger(nil)
	h := middleware.AccessLog(nil)(answering(http.StatusOK, "x"))
	sinew.SetLogger(slog.NewTextHandler(&log, nil))
	ask(h, get())
	if log.Len() > 0 {
		t.Errorf("a line per request at V(0): %s", &log)
	}
	sinew.SetLogger(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 1}))
	ask(h, get())
	if line := log.String(); !strings.Contains(line, "/orders") || strings.Contains(line, "secret") {
		t.Errorf("logged %q", line)
	}
}

func TestBodyLimit(t *testing.T) {
	reading := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := gateway.ReadBody(r, 1<<20)
		if err != nil {
			gateway.WriteError(w, err)
			return
		}
		fmt.Fprint(w, len(body))
	})
	h := middleware.BodyLimit(10)(reading)
	for _, test := range []struct {
		size   int
		says   bool
		status int
	}{{10, true, 200}, {11, true, 413}, {10, false, 200}, {11, false, 413}} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", test.size)))
		if !test.says {
			r.ContentLength = -1
		}
		if w := ask(h, r); w.Code != test.status {
			t.Errorf("%d bytes, told %v: answered %d %s, want %d", test.size, test.says, w.Code, w.Body, test.status)
		}
	}
}

func TestRateLimit(t *testing.T) {
	var refusal error
	h := middleware.RateLimit(func(*http.Request) error { return refusal })(answering(http.StatusOK, "x"))
	if w := ask(h, get()); w.Code != http.StatusOK {
		t.Errorf("answered %d", w.Code)
	}
	refusal = errors.New("too many")
	if w := ask(h, get()); w.Code != http.StatusTooManyRequests || w.Body.String() != `{"code":"resource_exhausted","message":"too many"}` {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	refusal = &ratelimit.RefusedError{Reason: "no token", RetryAfter: 1500 * time.Millisecond}
	if w := ask(h, get()); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "2" {
		t.Errorf("answered %d %v", w.Code, w.Header())
	}
	refusal = &protocol.Error{Code: protocol.ResourceExhausted, Message: "later", RetryAfter: 3 * time.Second}
	if w := ask(h, get()); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "3" || w.Header().Get("Sinew-Outcome") != "NotSent" {
		t.Errorf("answered %d %v", w.Code, w.Header())
	}
}

func TestBreakerIsOneForEachRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusOK
		bad := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		wrap := middleware.Breaker(middleware.BreakerOption{Threshold: 3, Window: 10 * time.Second})
		first, other := wrap(bad), wrap(answering(http.StatusOK, "x"))
		for _, harmless := range []int{200, 404, 429, 501} {
			status = harmless
			for range 5 {
				ask(first, get())
			}
		}
		left, leave := context.WithCancel(t.Context())
		leave()
		status = http.StatusBadGateway
		for range 5 {
			ask(first, get().WithContext(left))
		}
		for i := range 3 {
			if w := ask(first, get()); w.Code != status {
				t.Fatalf("request %d was answered %d", i, w.Code)
			}
		}
		w := ask(first, get())
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "10" {
			t.Errorf("an open breaker answered %d, come back in %q", w.Code, w.Header().Get("Retry-After"))
		}
		if w := ask(other, get()); w.Code != http.StatusOK {
			t.Errorf("the other route was answered %d", w.Code)
		}
		time.Sleep(10 * time.Second)
		status = http.StatusOK
		for range 2 {
			if w := ask(first, get()); w.Code != http.StatusOK {
				t.Errorf("after the window, answered %d", w.Code)
			}
		}
	})
}

func TestBreakerCountsPanics(t *testing.T) {
	h := middleware.Breaker(middleware.BreakerOption{Threshold: 1, Window: time.Hour})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	if !aborted(h, get()) {
		t.Fatal("the panic did not pass")
	}
	if w := ask(h, get()); w.Code != http.StatusServiceUnavailable {
		t.Errorf("answered %d", w.Code)
	}
}

// A handler that passes a body on aborts by a panic when the caller leaves.
func TestBreakerCountsNoPanicForACallerThatLeft(t *testing.T) {
	h := middleware.Breaker(middleware.BreakerOption{Threshold: 1, Window: time.Hour})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler)
		}
	}))
	left, leave := context.WithCancel(t.Context())
	leave()
	if !aborted(h, get().WithContext(left)) {
		t.Fatal("the panic did not pass")
	}
	if w := ask(h, get()); w.Code != http.StatusOK {
		t.Errorf("answered %d", w.Code)
	}
}

// preflight asks what origin may do.
func preflight(origin, method, header string) *http.Request {
	r := httptest.NewRequest(http.MethodOptions, "/Arith/Add", nil)
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", method)
	r.Header.Set("Access-Control-Request-Headers", header)
	return r
}

func TestCORS(t *testing.T) {
	wrap, err := middleware.CORS(middleware.CORSOption{Origins: []string{"https://app.example.org", "https://*.example.com"}, Credentials: true, Expose: []string{"X-Queue"}, MaxAge: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	h := wrap(answering(http.StatusOK, "x"))
	for origin, allowed := range map[string]bool{
		"https://app.example.org": true, "https://a.example.com": true,
		"http://app.example.org": false, "https://example.org": false, "https://app.example.org.evil": false, "null": false,
	} {
		w := ask(h, preflight(origin, "POST", "authorization,content-type"))
		if got := w.Header().Get("Access-Control-Allow-Origin"); (got == origin) != allowed || !allowed && got != "" {
			t.Errorf("%s is answered %q", origin, got)
		}
		if allowed && (w.Header().Get("Access-Control-Max-Age") != "60" || w.Header().Get("Access-Control-Allow-Credentials") != "true") {
			t.Errorf("%s: %v", origin, w.Header())
		}
	}
	if w := ask(h, preflight("https://app.example.org", "DELETE", "content-type")); w.Header().Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("DELETE is allowed: %v", w.Header())
	}
	r := get()
	r.Header.Set("Origin", "https://app.example.org")
	w := ask(h, r)
	exposed := strings.Split(strings.ReplaceAll(w.Header().Get("Access-Control-Expose-Headers"), " ", ""), ",")
	if want := []string{"Sinew-Outcome", "Retry-After", "X-Request-Id", "X-Queue"}; !reflect.DeepEqual(exposed, want) {
		t.Errorf("exposes %q, want %q", exposed, want)
	}
}

func TestCORSThatWouldOpenTooMuch(t *testing.T) {
	for field, option := range map[string]middleware.CORSOption{
		"Origins is":  {},
		"Origins[1]":  {Origins: []string{"https://a.example", "b.example"}},
		"Origins[0]":  {Origins: []string{"https://a.example/"}},
		"Credentials": {Origins: []string{"*"}, Credentials: true},
		"MaxAge":      {Origins: []string{"*"}, MaxAge: -1},
	} {
		if _, err := middleware.CORS(option); err == nil || !strings.Contains(err.Error(), "CORSOption."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestBreakerThatIsOff(t *testing.T) {
	h := middleware.Breaker(middleware.BreakerOption{Threshold: -1})(answering(http.StatusInternalServerError, "x"))
	for range 2 * middleware.DefaultBreakerThreshold {
		if w := ask(h, get()); w.Code != http.StatusInternalServerError {
			t.Fatalf("answered %d", w.Code)
		}
	}
}

// With cookies no page of anybody's choice may call, however its origin is written.
func TestCORSLendsCookiesToNamedHosts(t *testing.T) {
	for origin, refused := range map[string]bool{
		"https://*": true, "http://*:8080": true, "https://example.org*": true,
		"https://*example.org": true, "https://app*.example.org": true, "https://app.*.com": true, "https://app.*.example.org": true,
		"https://*.com": true, "https://*.com:8443": true, "https://*.": true, "https://*.com.": true, "*://example.org": true,
		"https://[2001:db8:*]": true, "https://[2001:*": true,
		"https://*.example.org": false, "https://*.example.org:8443": false, "https://*.a.example.org": false,
		"http://localhost:*": false, "https://example.org:*": false, "http://[::1]:*": false, "https://example.org": false,
	} {
		if _, err := middleware.CORS(middleware.CORSOption{Origins: []string{origin}, Credentials: true}); (err != nil) != refused {
			t.Errorf("%s: %v", origin, err)
		}
		if _, err := middleware.CORS(middleware.CORSOption{Origins: []string{origin}}); err != nil {
			t.Errorf("%s without credentials: %v", origin, err)
		}
	}
}

// A handler that takes over the connection, or flushes, still can.
func TestWrappedWritersUnwrap(t *testing.T) {
	h := middleware.AccessLog(func(middleware.Access) {})(middleware.Breaker(middleware.BreakerOption{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.WriteString(w, "now"); err != nil {
			t.Error(err)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})))
	if w := ask(h, get()); !w.Flushed {
		t.Error("nothing was flushed")
	}
}
