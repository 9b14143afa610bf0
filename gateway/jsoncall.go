package gateway

import (
	"compress/gzip"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/sinew-rpc/sinew/protocol"
)

const contentJSON = "application/json"

// serveJSON is POST /{Service}/{Method}: the Connect protocol's unary call
// with JSON (https://connectrpc.com/docs/protocol#unary-request).
func (g *Gateway) serveJSON(w http.ResponseWriter, r *http.Request, service, method string) {
	res, err := g.jsonCall(w, r, service, method)
	if err != nil {
		WriteError(w, err)
		return
	}
	g.WriteJSON(w, r, res)
}

func (g *Gateway) jsonCall(w http.ResponseWriter, r *http.Request, service, method string) (*protocol.Message, error) {
	if err := CheckJSON(r); err != nil {
		return nil, err
	}
	if v := first(r.Header, "Connect-Protocol-Version"); v != "" && v != "1" {
		return nil, notSent(protocol.InvalidArgument, "Connect-Protocol-Version is %.16q: 1 is spoken here", v)
	}
	m, err := g.admitJSON(r, service, method)
	if err != nil {
		return nil, err
	}
	body, release, err := g.ReadBody(w, r)
	if err != nil {
		return nil, err
	}
	defer release()
	return g.sendJSON(r, m, body)
}

// CheckJSON refuses, with 415, a request whose body does not say that it is
// JSON: what a page of another origin can send without being asked is text or a
// form, and must not become a call.
func CheckJSON(r *http.Request) error {
	given := first(r.Header, headerContentType)
	if given == contentJSON {
		return nil
	}
	if kind, params, err := mime.ParseMediaType(given); err == nil && kind == contentJSON {
		if charset := params["charset"]; charset == "" || strings.EqualFold(charset, "utf-8") {
			return nil
		}
	}
	return refuse(http.StatusUnsupportedMediaType, protocol.InvalidArgument,
		"Content-Type is %.128q: a call needs application/json (curl: -H 'Content-Type: application/json', or --json in place of -d)", given)
}

// WriteJSON answers with the JSON of a reply: its metadata as headers, gzipped
// where r takes that and it is worth it.
func (g *Gateway) WriteJSON(w http.ResponseWriter, r *http.Request, res *protocol.Message) {
	h := w.Header()
	if err := WriteMeta(h, res.MetaData); err != nil {
		WriteError(w, err)
		return
	}
	values := [...]string{contentJSON, "nosniff", strconv.Itoa(len(res.Body))} // in one allocation
	h[headerContentType] = values[0:1:1]
	h["X-Content-Type-Options"] = values[1:2:2]
	if len(res.Body) >= g.option.CompressMin {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header) {
			writeGzipped(w, res.Body)
			return
		}
	}
	h["Content-Length"] = values[2:3:3]
	_, _ = w.Write(res.Body) // a caller that left is told nothing
}

var zippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func writeGzipped(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Encoding", "gzip")
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(w)
	if _, err := z.Write(body); err == nil {
		_ = z.Close() // a caller that left is told nothing
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3) for gzip alone: named, or
// a star, with a weight above zero.
func acceptsGzip(h http.Header) bool {
	accepted := false
	for _, list := range h["Accept-Encoding"] {
		for item := range strings.SplitSeq(list, ",") {
			name, params, _ := strings.Cut(item, ";")
			name = strings.TrimSpace(name)
			if !strings.EqualFold(name, "gzip") && name != "*" {
				continue
			}
			q := strings.TrimSpace(params)
			refused := strings.HasPrefix(q, "q=0") && strings.Trim(q[len("q=0"):], ".0") == ""
			if name != "*" {
				return !refused
			}
			accepted = !refused
		}
	}
	return accepted
}
