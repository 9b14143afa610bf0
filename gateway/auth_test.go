package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
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
