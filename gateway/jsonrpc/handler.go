package jsonrpc

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sinew-rpc/sinew/gateway"
)

// mediaTypes are the types that a body may have.
var mediaTypes = []string{"application/json", "application/json-rpc", "application/jsonrequest"}

// Handler serves JSON-RPC 2.0 over HTTP POST. Make it with [NewHandler]; it may
// serve any number of requests at once, and starts goroutines only for a batch,
// which it waits for.
//
// Every answer that is JSON-RPC has HTTP status 200, errors too; a request, or a
// batch, of notifications alone is answered with 204 and no body. What is no
// JSON-RPC has a status of its own: 405 for another method than POST, 415 for
// another type than JSON (so that a foreign page's form cannot make a call), and
// those of gateway.ReadBody for a body that is too large, too slow or broken; the
// answer then still is an error object.
//
// The metadata of a reply becomes headers, as in every form of the gateway; that
// of a batch's replies does not.
type Handler struct {
	gateway *gateway.Gateway
	option  Option
}

var _ http.Handler = (*Handler)(nil)

// NewHandler returns a handler whose calls go through g, whose bounds, deadlines,
// headers and authoriser count. It is mounted on g, or on any mux. option may be
// nil; it is copied. The error names the field that is wrong.
func NewHandler(g *gateway.Gateway, option *Option) (*Handler, error) {
	if g == nil {
		return nil, errors.New("jsonrpc: NewHandler needs a gateway: gateway.New makes one")
	}
	o, err := option.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Handler{gateway: g, option: o}, nil
}

// ServeHTTP implements http.Handler. A client that leaves ends its calls, but for
// notifications.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status, why := acceptable(r); status != http.StatusOK {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		write(w, status, failure(null, newError(InvalidRequest, why)))
		return
	}
	body, release, err := h.gateway.ReadBody(w, r)
	if err != nil {
		write(w, gateway.StatusOf(err), failure(null, fromBody(err)))
		return
	}
	defer release()
	c := calls{handler: h, request: r, room: newRoom(h.option.MaxReply), header: w.Header()}
	write(w, http.StatusOK, c.answer(body))
}

// acceptable returns StatusOK for what may be JSON-RPC.
func acceptable(r *http.Request) (status int, why string) {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, "calls are made with POST"
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(mediaTypes, media) {
		return http.StatusUnsupportedMediaType, "the body's type must be application/json (curl: -H 'Content-Type: application/json', or --json in place of -d)"
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return http.StatusUnsupportedMediaType, "JSON is UTF-8 (charset)"
	}
	return http.StatusOK, ""
}

// write sends an answer; an empty one is 204.
func write(w http.ResponseWriter, status int, answer []byte) {
	if len(answer) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(answer) // who does not read it has left
}

// success returns a response with a result.
func success(id, result json.RawMessage) []byte {
	b := make([]byte, 0, len(result)+len(id)+40)
	b = append(b, `{"jsonrpc":"2.0","result":`...)
	b = append(b, result...)
	return appendID(b, id)
}

// failure returns a response with an error.
func failure(id json.RawMessage, fault *Error) []byte {
	b := append([]byte(`{"jsonrpc":"2.0","error":`), marshal(fault)...)
	return appendID(b, id)
}

func appendID(b []byte, id json.RawMessage) []byte {
	b = append(b, `,"id":`...)
	b = append(b, id...)
	return append(b, '}')
}
