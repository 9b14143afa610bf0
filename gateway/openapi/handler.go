package openapi

import (
	"embed"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
)

// Option is what a document says beside the services. The zero value is a good
// one.
type Option struct {
	// Title of the document and the page. The default is "Services".
	Title string
	// Version of what is described. The default is "0".
	Version string
}

//go:embed page
var page embed.FS

// policy lets the page load its own files and call its own gateway, and nothing
// else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Mount has g serve the document at GET /openapi.json and the page at GET /docs. o
// may be nil. The error is that of g.Handle.
//
// Both stand behind gateway.Option.Authorize. Without that, the document is for
// those whom providers let ask for their services (wrapper.Auth, tags, limits), and
// the page, which knows no service before it has the document, asks for an
// Authorization to read it with.
func Mount(g *gateway.Gateway, o *Option) error {
	d := &documents{gateway: g}
	if o != nil {
		d.option = *o
	}
	return errors.Join(
		g.Handle("GET /openapi.json", d.guarded(g.AuthorizeServices, d.document)),
		g.Handle("GET /docs", d.guarded(g.Authorize, d.file("page/docs.html", "text/html; charset=utf-8"))),
		g.Handle("GET /docs/docs.js", d.guarded(g.Authorize, d.file("page/docs.js", "text/javascript; charset=utf-8"))),
		g.Handle("GET /docs/docs.css", d.guarded(g.Authorize, d.file("page/docs.css", "text/css; charset=utf-8"))),
	)
}

// documents serves document and page.
type documents struct {
	gateway *gateway.Gateway
	option  Option
}

// guarded asks may first.
func (d *documents) guarded(may func(*http.Request) error, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := may(r); err != nil {
			gateway.WriteError(w, err)
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store") // services come and go
		serve(w, r)
	})
}

func (d *documents) document(w http.ResponseWriter, r *http.Request) {
	services, err := d.gateway.Services(r.Context())
	if err != nil {
		gateway.WriteError(w, err)
		return
	}
	encoded, err := json.Marshal(Document(services, d.gateway.Bindings(), d.option.Title, d.option.Version))
	if err != nil {
		gateway.WriteError(w, protocol.Errorf(protocol.Internal, "the document cannot be encoded: %w", err))
		return
	}
	w.Header().Set("Content-Type", contentJSON)
	_, _ = w.Write(encoded) // a reader that left is told nothing
}

func (d *documents) file(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		content, err := page.ReadFile(name)
		if err != nil { // it is embedded
			gateway.WriteError(w, err)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(content) // a reader that left is told nothing
	}
}
