package jwt_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	golang "github.com/golang-jwt/jwt/v5"

	"github.com/sinew-rpc/sinew"
	"github.com/sinew-rpc/sinew/gateway/middleware/jwt"
)

// secretOf makes a secret that is long enough for every algorithm.
func secretOf(seed string) []byte { return bytes.Repeat([]byte(seed), 64) }

// sign makes a token.
func sign(t testing.TB, method golang.SigningMethod, key any, id string, claims golang.MapClaims) string {
	t.Helper()
	token := golang.NewWithClaims(method, claims)
	if id != "" {
		token.Header["kid"] = id
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// status is what a route behind option answers to a request with token; body is
// the claim sub, or the error.
func status(t testing.TB, option jwt.Option, authorization ...string) (code int, body string) {
	t.Helper()
	wrap, err := jwt.New(option)
	if err != nil {
		t.Fatal(err)
	}
	h := wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, jwt.ClaimsFrom(r.Context())["sub"])
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header["Authorization"] = authorization
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code == http.StatusUnauthorized && w.Header().Get("Www-Authenticate") != "Bearer" {
		t.Error("a 401 without WWW-Authenticate")
	}
	return w.Code, w.Body.String()
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func TestTokens(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaPublic := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)})
	keys := new(jwt.KeySet)
	keys.Replace(map[string]any{"ed": public, "rsa": &rsaKey.PublicKey})
	option := jwt.Option{Keys: keys, Algorithms: []string{"EdDSA", "RS256"}, Issuer: "us", Audience: "shop", Leeway: time.Second}
	claims := func(change golang.MapClaims) golang.MapClaims {
		c := golang.MapClaims{"sub": "u42", "iss": "us", "aud": "shop", "exp": in(time.Minute)}
		for k, v := range change {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		return c
	}
	ed := func(change golang.MapClaims) string {
		return "Bearer " + sign(t, golang.SigningMethodEdDSA, private, "ed", claims(change))
	}
	good := ed(nil)
	for _, test := range []struct {
		name   string
		given  []string
		status int
	}{
		{"a good one", []string{good}, 200},
		{"a scheme in another case", []string{strings.Replace(good, "Bearer", "bEARER", 1)}, 200},
		{"one of the other key", []string{"Bearer " + sign(t, golang.SigningMethodRS256, rsaKey, "rsa", claims(nil))}, 200},
		{"none", nil, 401},
		{"two", []string{good, good}, 401},
		{"another scheme", []string{"Basic YTpi"}, 401},
		{"garbage", []string{"Bearer a.b.c"}, 401},
		{"expired", []string{ed(golang.MapClaims{"exp": in(-time.Minute)})}, 401},
		{"without an end", []string{ed(golang.MapClaims{"exp": nil})}, 401},
		{"not yet", []string{ed(golang.MapClaims{"nbf": in(time.Minute)})}, 401},
		{"issued in the future", []string{ed(golang.MapClaims{"iat": in(time.Minute)})}, 401},
		{"another issuer", []string{ed(golang.MapClaims{"iss": "them"})}, 401},
		{"another audience", []string{ed(golang.MapClaims{"aud": []string{"bank"}})}, 401},
		{"an unknown key", []string{"Bearer " + sign(t, golang.SigningMethodEdDSA, private, "old", claims(nil))}, 401},
		{"no key id", []string{"Bearer " + sign(t, golang.SigningMethodEdDSA, private, "", claims(nil))}, 401},
		{"alg none", []string{"Bearer " + sign(t, golang.SigningMethodNone, golang.UnsafeAllowNoneSignatureType, "ed", claims(nil))}, 401},
		{"HS256 with the public RSA key", []string{"Bearer " + sign(t, golang.SigningMethodHS256, rsaPublic, "rsa", claims(nil))}, 401},
		{"the key of another algorithm", []string{"Bearer " + sign(t, golang.SigningMethodEdDSA, private, "rsa", claims(nil))}, 401},
		{"a changed claim", []string{good[:len(good)/2] + "A" + good[len(good)/2+1:]}, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, body := status(t, option, test.given...)
			if code != test.status || code == 200 && body != "u42" {
				t.Errorf("answered %d %s, want %d", code, body, test.status)
			}
			for _, token := range test.given {
				if _, secret, ok := strings.Cut(token, " "); ok && strings.Contains(body, secret) {
					t.Errorf("the answer tells the token: %s", body)
				}
			}
		})
	}
}

// failing are keys that are kept elsewhere.
type failing struct{ err error }

func (f *failing) Key(context.Context, string) (any, error) { return secretOf("secret"), f.err }

// Where keys come from is nobody's business but the log's. That they do not come is
// no fault of a token.
func TestWhatKeysSayStaysHere(t *testing.T) {
	token := "Bearer " + sign(t, golang.SigningMethodHS256, secretOf("secret"), "", golang.MapClaims{"exp": in(time.Minute)})
	for _, test := range []struct {
		err    error
		status int
		body   string
	}{
		{errors.New("dial tcp 10.0.0.7:2379: connection refused"), 503, `{"code":"unavailable","message":"the token cannot be checked now"}`},
		{context.DeadlineExceeded, 503, `{"code":"unavailable","message":"the token cannot be checked now"}`},
		{fmt.Errorf("10.0.0.7: %w", golang.ErrTokenExpired), 503, `{"code":"unavailable","message":"the token cannot be checked now"}`},
		{fmt.Errorf("10.0.0.7: %w", jwt.ErrNoKey), 401, `{"code":"unauthenticated","message":"the token is refused"}`},
	} {
		option := jwt.Option{Keys: &failing{test.err}, Algorithms: []string{"HS256"}}
		if code, body := status(t, option, token); code != test.status || body != test.body {
			t.Errorf("%v: answered %d %s", test.err, code, body)
		}
	}
}

func TestAnOutageOfKeysIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	sinew.SetLogger(slog.NewTextHandler(&log, nil))
	defer sinew.SetLogger(nil)
	keys := new(failing)
	wrap, err := jwt.New(jwt.Option{Keys: keys, Algorithms: []string{"HS256"}})
	if err != nil {
		t.Fatal(err)
	}
	h := wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	token := "Bearer " + sign(t, golang.SigningMethodHS256, secretOf("secret"), "", golang.MapClaims{"exp": in(time.Minute)})
	ask := func(ctx context.Context, times int) {
		for range times {
			r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
			r.Header.Set("Authorization", token)
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	expect := func(what string, warnings, again int) {
		t.Helper()
		text := log.String()
		if n := strings.Count(text, "level=WARN"); n != warnings || strings.Count(text, "connection refused") != warnings {
			t.Errorf("%s: %d warnings, want %d: %s", what, n, warnings, text)
		}
		if n := strings.Count(text, "can be read again"); n != again {
			t.Errorf("%s: told %d times that they can be read again, want %d", what, n, again)
		}
		if strings.Contains(text, strings.TrimPrefix(token, "Bearer ")) {
			t.Errorf("%s: the token is in the log", what)
		}
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	keys.err = errors.New("dial tcp 10.0.0.7:2379: connection refused")
	ask(left, 3)
	expect("callers that left", 0, 0)
	ask(t.Context(), 3)
	expect("an outage", 1, 0)
	keys.err = nil
	ask(t.Context(), 3)
	expect("after it", 1, 1)
	keys.err = errors.New("dial tcp 10.0.0.7:2379: connection refused")
	ask(t.Context(), 3)
	expect("another one", 2, 1)
	keys.err = jwt.ErrNoKey
	ask(t.Context(), 3)
	expect("no such key", 2, 2)
}

func TestTokensThatNobodyShouldTake(t *testing.T) {
	keys := new(jwt.KeySet)
	keys.Replace(map[string]any{"": []byte{}, "good": secretOf("a secret")})
	option := jwt.Option{Keys: keys, Algorithms: []string{"HS256"}}
	claims := golang.MapClaims{"exp": in(time.Minute)}
	if code, body := status(t, option, "Bearer "+sign(t, golang.SigningMethodHS256, []byte{}, "", claims)); code != http.StatusUnauthorized {
		t.Errorf("signed with an empty secret: %d %s", code, body)
	}
	critical := golang.NewWithClaims(golang.SigningMethodHS256, claims)
	critical.Header["kid"], critical.Header["crit"] = "good", []string{"b64"}
	signed, err := critical.SignedString(secretOf("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	if code, body := status(t, option, "Bearer "+signed); code != http.StatusUnauthorized {
		t.Errorf("with a critical field: %d %s", code, body)
	}
}

// A secret is as long as the hash of its algorithm, for it could be guessed else.
func TestSecretsThatVerifyNothing(t *testing.T) {
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: make([]byte, 64)})
	for _, test := range []struct {
		method golang.SigningMethod
		secret []byte
		status int
		says   string
	}{
		{golang.SigningMethodHS256, make([]byte, 32), 200, ""},
		{golang.SigningMethodHS256, make([]byte, 31), 401, "has 31 bytes: HS256 needs at least 32"},
		{golang.SigningMethodHS384, make([]byte, 47), 401, "has 47 bytes: HS384 needs at least 48"},
		{golang.SigningMethodHS512, make([]byte, 64), 200, ""},
		{golang.SigningMethodHS512, make([]byte, 63), 401, "has 63 bytes: HS512 needs at least 64"},
		{golang.SigningMethodHS256, []byte{}, 401, "has 0 bytes"},
		{golang.SigningMethodHS256, block, 401, "is a PEM block"},
	} {
		t.Run(fmt.Sprint(test.method.Alg(), " ", len(test.secret)), func(t *testing.T) {
			var log bytes.Buffer
			sinew.SetLogger(slog.NewTextHandler(&log, nil))
			defer sinew.SetLogger(nil)
			keys := new(jwt.KeySet)
			keys.Replace(map[string]any{"k": test.secret})
			wrap, err := jwt.New(jwt.Option{Keys: keys, Algorithms: []string{"HS256", "HS384", "HS512"}})
			if err != nil {
				t.Fatal(err)
			}
			h := wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			for range 2 {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Authorization", "Bearer "+sign(t, test.method, test.secret, "k", golang.MapClaims{"exp": in(time.Minute)}))
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != test.status || strings.Contains(w.Body.String(), "secret") {
					t.Errorf("answered %d %s, want %d", w.Code, w.Body, test.status)
				}
			}
			warnings := 0
			if test.says != "" {
				warnings = 1
			}
			if text := log.String(); strings.Count(text, "level=WARN") != warnings || !strings.Contains(text, test.says) {
				t.Errorf("logged %s, want %q once", text, test.says)
			}
		})
	}
}

func TestKeysAreReplacedWhileServing(t *testing.T) {
	keys := new(jwt.KeySet)
	option := jwt.Option{Keys: keys, Algorithms: []string{"HS256"}}
	token := func(id, key string) string {
		return "Bearer " + sign(t, golang.SigningMethodHS256, secretOf(key), id, golang.MapClaims{"sub": id, "exp": in(time.Minute)})
	}
	expect := func(want int, authorization string) {
		t.Helper()
		if code, body := status(t, option, authorization); code != want {
			t.Errorf("answered %d %s, want %d", code, body, want)
		}
	}
	first, second := token("1", "one"), token("2", "two")
	expect(401, first)
	keys.Replace(map[string]any{"1": secretOf("one")})
	expect(200, first)
	expect(401, second)
	keys.Replace(map[string]any{"1": secretOf("one"), "2": secretOf("two")})
	expect(200, first)
	expect(200, second)
	keys.Replace(map[string]any{"2": secretOf("two")})
	expect(401, first)
	expect(200, second)
}

// source asks elsewhere for its keys.
type source struct{}

type place struct{}

// Key fails unless the context is the request's.
func (source) Key(ctx context.Context, _ string) (any, error) {
	if _, ok := ctx.Value(place{}).(string); !ok {
		return nil, errors.New("not the request's context")
	}
	return secretOf("key"), nil
}

func TestKeysOfASource(t *testing.T) {
	wrap, err := jwt.New(jwt.Option{Keys: source{}, Algorithms: []string{"HS256"}, NoExpiry: true})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), place{}, "here"))
	r.Header.Set("Authorization", "Bearer "+sign(t, golang.SigningMethodHS256, secretOf("key"), "", golang.MapClaims{}))
	w := httptest.NewRecorder()
	wrap(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != http.StatusNotFound {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}

func TestNewSaysWhichFieldIsWrong(t *testing.T) {
	keys := new(jwt.KeySet)
	for field, option := range map[string]jwt.Option{
		"Keys":          {Algorithms: []string{"HS256"}},
		"Algorithms is": {Keys: keys},
		"Algorithms[0]": {Keys: keys, Algorithms: []string{"none"}},
		"Algorithms[1]": {Keys: keys, Algorithms: []string{"HS256", "HS257"}},
		"Leeway":        {Keys: keys, Algorithms: []string{"HS256"}, Leeway: -1},
	} {
		if _, err := jwt.New(option); err == nil || !strings.HasPrefix(err.Error(), "jwt: Option."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
