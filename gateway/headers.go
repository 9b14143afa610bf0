package gateway

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/sinew-rpc/sinew/protocol"
)

// Headers with rules of their own.
const (
	headerAuthorization = "Authorization"
	headerContentType   = "Content-Type"
	headerTagPrefix     = "Sinew-Tag-"
	headerOutcome       = "Sinew-Outcome"
	reservedHeader      = "Sinew-"
)

// first returns the first value of a header whose name is written as net/http
// keeps names, empty where there is none.
func first(h http.Header, canonical string) string {
	if values := h[canonical]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// oneHop are the names that speak of one connection (RFC 9110, 7.6.1): they are
// metadata in neither direction.
var oneHop = map[string]bool{
	"Connection":          true,
	"Keep-Alive":          true,
	"Proxy-Authenticate":  true,
	"Proxy-Authorization": true,
	"Proxy-Connection":    true,
	"Te":                  true,
	"Trailer":             true,
	"Transfer-Encoding":   true,
	"Upgrade":             true,
}

// ownHeaders are those of a response that the gateway alone sets.
var ownHeaders = map[string]bool{
	"Content-Encoding": true,
	"Content-Length":   true,
	"Content-Type":     true,
	"Date":             true,
	"Retry-After":      true,
	headerRequestID:    true,
}

// forwarding is which headers of a request go in as metadata. It does not change.
type forwarding struct {
	exact    map[string]string // from the canonical name to the key
	prefixes []string          // of canonical names
}

func newForwarding(names []string) (*forwarding, error) {
	f := &forwarding{exact: make(map[string]string, len(names))}
	for i, name := range names {
		prefix, isPrefix := strings.CutSuffix(name, "*")
		canonical := textproto.CanonicalMIMEHeaderKey(prefix)
		switch {
		case prefix == "":
			return nil, wrong("Headers[%d] is %q: name a header, or the beginning of names and a star", i, name)
		case protocol.CheckMeta(map[string]string{strings.ToLower(prefix): ""}) != nil:
			return nil, wrong("Headers[%d]: %q does not travel as a metadata key: letters, digits, '.', '_' and '-' do", i, name)
		case strings.HasPrefix(canonical, reservedHeader):
			return nil, wrong("Headers[%d]: %q: names that begin with \"sinew-\" are the framework's", i, name)
		case !isPrefix && (oneHop[canonical] || canonical == headerAuthorization):
			return nil, wrong("Headers[%d]: %q never goes in as metadata under its own name", i, name)
		case isPrefix:
			f.prefixes = append(f.prefixes, canonical)
		default:
			f.exact[canonical] = strings.ToLower(name)
		}
	}
	return f, nil
}

// beyondDefault returns the names that are not among DefaultHeaders.
func beyondDefault(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(DefaultHeaders(), func(known string) bool { return strings.EqualFold(name, known) })
	})
}

// dropFrom takes out of meta what stands for a header that is forwarded.
func (f *forwarding) dropFrom(meta map[string]string) {
	maps.DeleteFunc(meta, func(key, _ string) bool { return f.key(textproto.CanonicalMIMEHeaderKey(key)) != "" })
}

// key returns the metadata key of a header, empty for one that does not go in.
func (f *forwarding) key(canonical string) string {
	if key := f.exact[canonical]; key != "" {
		return key
	}
	for _, prefix := range f.prefixes {
		if strings.HasPrefix(canonical, prefix) && !oneHop[canonical] && canonical != headerAuthorization {
			return strings.ToLower(canonical)
		}
	}
	return ""
}

// incoming adds to meta what the headers of a request bring: those that are
// forwarded, and tags. A header given more than once is one value, joined by
// ", " (RFC 9110, 5.3). meta may be nil; it is made when something goes in.
//
// Connection takes out of it trace context alone. It is the caller's to write, and
// what is trusted, or a tag, may be a proxy's or middleware's to say.
func (f *forwarding) incoming(h http.Header, trusted *forwarding, meta map[string]string) map[string]string {
	for name, values := range h {
		var key string
		if tag, ok := strings.CutPrefix(name, headerTagPrefix); ok {
			if tag == "" {
				continue
			}
			key = protocol.MetaTagPrefix + strings.ToLower(tag)
		} else if key = f.key(name); key == "" || strings.HasPrefix(key, protocol.MetaReserved) {
			continue
		} else if namedByConnection(h, name) && trusted.key(name) == "" {
			continue
		}
		if meta == nil {
			meta = make(map[string]string, 4)
		}
		if len(values) == 1 {
			meta[key] = values[0]
		} else {
			meta[key] = strings.Join(values, ", ")
		}
	}
	return meta
}

// namedByConnection tells that the header speaks of this hop, because Connection
// says so.
func namedByConnection(h http.Header, name string) bool {
	for _, list := range h["Connection"] {
		for word := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(word), name) {
				return true
			}
		}
	}
	return false
}

// bearer returns what an Authorization header says, without the scheme Bearer:
// so a token is the same to a provider, however it came.
func bearer(authorization string) string {
	const scheme = "Bearer "
	if len(authorization) > len(scheme) && strings.EqualFold(authorization[:len(scheme)], scheme) {
		return strings.TrimSpace(authorization[len(scheme):])
	}
	return authorization
}

// passAuthorization is the authoriser of a gateway that has none of its own.
func passAuthorization(r *http.Request, _ string) (string, error) {
	switch values := r.Header[headerAuthorization]; len(values) {
	case 0:
		return "", nil
	case 1:
		return bearer(values[0]), nil
	default:
		return "", notSent(protocol.InvalidArgument, "the request has %d Authorization headers: send one", len(values))
	}
}

// WriteMeta writes the metadata of a reply as headers, but for what is the
// framework's, speaks of one hop, is the gateway's own to say, or opens the reply
// to other origins. A value that is no header's (control characters) is an error
// of code Internal, and nothing is written.
func WriteMeta(h http.Header, meta map[string]string) error {
	for k, v := range meta {
		if !validHeaderValue(v) {
			return protocol.Errorf(protocol.Internal, "the reply's metadata %.64q holds control characters and does not travel as a header", k).WithOutcome(protocol.Ran)
		}
	}
	for k, v := range meta {
		name := textproto.CanonicalMIMEHeaderKey(k)
		switch {
		case !leaves(name) || namedByConnection(h, name):
		case name == "Vary": // what middleware varies by holds all the same
			addOnce(h, name, v)
		default:
			h.Set(name, v)
		}
	}
	return nil
}

func addOnce(h http.Header, name, value string) {
	if !slices.Contains(h[name], value) {
		h.Add(name, value)
	}
}

func leaves(name string) bool {
	return name != "" && !oneHop[name] && !ownHeaders[name] &&
		!strings.HasPrefix(name, reservedHeader) && !strings.HasPrefix(name, "Access-Control-")
}

func validHeaderValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
