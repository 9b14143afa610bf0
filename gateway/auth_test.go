package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/wrapper"
)

// The providers' own authentication is asked about the caller's token, wherever
// the gateway stands, and never about the gateway's.
func TestProvidersAuthenticateTheCaller(t *testing.T) {
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			tokens := wrapper.StaticTokens(map[string]string{"hello01": "ada", "the gateway's own": "gateway"})
			backend := newBackend(t, place, newArith(), server.Option{Wrappers: []server.Wrapper{&wrapper.Auth{Verifier: tokens}}})
			g, err := gateway.New(backend, nil)
			if err != nil {
				t.Fatal(err)
			}
			for authorization, status := range map[string]int{
				"Bearer hello01": http.StatusOK,
				"hello01":        http.StatusOK,
				"Bearer hello02": http.StatusUnauthorized,
				"":               http.StatusUnauthorized,
			} {
				r := post("/Arith/Add", `{"A":1}`)
				if authorization != "" {
					r.Header.Set("Authorization", authorization)
				}
				if may := g.AuthorizeServices(r); gateway.StatusOf(may) != status {
					t.Errorf("%q: may read of all services: %v, want status %d", authorization, may, status)
				}
				res := serve(g, r)
				if body := bodyOf(t, res); res.StatusCode != status || strings.Contains(body, "hello") {
					t.Errorf("%q: answered %d %s, want %d", authorization, res.StatusCode, body, status)
				}
			}
		})
	}
}

// A credential that cannot travel, such as one that is read from a file with its line
// break, is told to nobody. It may be what the caller brought, passed on: were that an
// error of the gateway's, any caller could open a breaker before it.
func TestACredentialThatCannotTravelIsNotTold(t *testing.T) {
	for name, secret := range map[string]string{
		"a line break": "s3cr3t\n",
		"too long":     strings.Repeat("s3cr3t", protocol.MaxMetaSize),
	} {
		option := &gateway.Option{Authorize: func(*http.Request, string) (string, error) { return secret, nil }}
		everywhere(t, option, func(t *testing.T, g *gateway.Gateway) {
			for form, r := range map[string]*http.Request{
				"JSON":   post("/Arith/Add", `{}`),
				"bridge": invoke(nil, map[string]string{"service_name": "Arith", "method_name": "Add"}),
			} {
				res := serve(g, r)
				told := bodyOf(t, res) + fmt.Sprint(res.Header)
				if res.StatusCode != http.StatusBadRequest || res.Header.Get("Sinew-Outcome") != "NotSent" || strings.Contains(told, "s3cr3t") {
					t.Errorf("%s by %s: answered %d %s", name, form, res.StatusCode, told)
				}
			}
		})
	}
}
