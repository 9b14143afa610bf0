package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// A provider sits behind an ordinary HTTP ingress: TLS ends at a reverse proxy,
// which forwards a path to a mux of the user's. Consumers find it by the registry
// and dial the ingress.
func TestProviderBehindAnHTTPIngress(t *testing.T) {
	mux := http.NewServeMux()
	backend := httptest.NewServer(mux)
	defer backend.Close()
	target, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	ingress := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	defer ingress.Close()

	r := memory.NewRegistry("ingress")
	s := newServer(t, server.Option{Registry: r}, &echo.Echo{})
	h := transport.NewWebSocketHandler("wss", strings.TrimPrefix(ingress.URL, "https://")+"/rpc")
	mux.Handle("/rpc", h)
	ended := make(chan error, 1)
	go func() { ended <- s.ServeListener(h, nil) }()

	roots := x509.NewCertPool()
	roots.AddCert(ingress.Certificate())
	c := governed(t, r, client.SGOption{Option: client.Option{TLSConfig: &tls.Config{RootCAs: roots}}})
	for range 10 {
		say(t, c)
	}
	if p := c.Providers(); len(p) != 1 || p[0].Provider.Network != "wss" || !strings.HasSuffix(p[0].Provider.Addr, "/rpc") {
		t.Errorf("the registry lists %+v", p)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("Serve returned %v", err)
	}
}
