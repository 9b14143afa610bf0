package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sinew-rpc/sinew/gateway/internal/params"
	"github.com/sinew-rpc/sinew/protocol"
)

// Bind serves a pattern, in the form of http.ServeMux, by an RPC method:
//
//	gw.Bind("POST /v1/orders/{id}", "Orders.Update")
//
// The request of the method is the body, a JSON object or a form, with the
// query's and the path's values put into it: the path's win over the form's,
// these over the query's, these over the body. What stands as text there becomes
// a number, truth or list where the method wants one, as the provider tells of
// its types: in its registration or, where that has no room for them, when it is
// asked on behalf of the caller. Where nobody tells, what looks like a number or a
// truth becomes one. What a form or a query says beside the members that the
// provider names is left out; a map, and what may be any value, takes all. A member
// that may be any value is a list where it is given more than once. What does not fit,
// and what is required and missing, is answered with 400 and a list of fields. The
// answer is that of a JSON call.
//
// A browser sends forms, and requests without a body, for pages of any origin:
// such a request is refused with 403 when the browser says that it comes from
// another one (see http.CrossOriginProtection). GET and HEAD are not: bind them
// to methods that change nothing.
func (g *Gateway) Bind(pattern, serviceMethod string) error {
	h, err := g.bound(pattern, serviceMethod)
	if err != nil {
		return err
	}
	return g.handleBound(h, h)
}

// Binding is a route that Bind made.
type Binding struct {
	Pattern       string // in the form of http.ServeMux
	ServiceMethod string // "Service.Method"
}

// Names returns what the pattern takes from the path, in its order.
func (b Binding) Names() []string { return params.Names(b.Pattern) }

// Bindings lists the routes that are bound to RPC methods, in the order in which
// they were.
func (g *Gateway) Bindings() []Binding {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.bindings)
}

// handleBound registers h, which stands round b.
func (g *Gateway) handleBound(b *binding, h http.Handler) error {
	if err := g.Handle(b.pattern, h); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bindings = append(g.bindings, Binding{Pattern: b.pattern, ServiceMethod: b.service + "." + b.method})
	return nil
}

// binding is a route that stands for an RPC method.
type binding struct {
	gateway         *Gateway
	pattern         string
	service, method string
	names           []string // of the path's values
}

func (g *Gateway) bound(pattern, serviceMethod string) (*binding, error) {
	dot := strings.LastIndexByte(serviceMethod, '.')
	if dot <= 0 || dot == len(serviceMethod)-1 {
		return nil, fmt.Errorf("gateway: pattern %q: %q names no method: write Service.Method", pattern, serviceMethod)
	}
	return &binding{gateway: g, pattern: pattern, service: serviceMethod[:dot], method: serviceMethod[dot+1:], names: params.Names(pattern)}, nil
}

// ServeHTTP implements http.Handler.
func (b *binding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	res, err := b.call(w, r)
	if err != nil {
		WriteError(w, err)
		return
	}
	b.gateway.WriteJSON(w, r, res)
}

func (b *binding) call(w http.ResponseWriter, r *http.Request) (*protocol.Message, error) {
	m, err := b.gateway.admitJSON(r, b.service, b.method)
	if err != nil {
		return nil, err
	}
	body, release, err := b.gateway.ReadBody(w, r)
	if err != nil {
		return nil, err
	}
	defer release()
	request, err := b.request(r, m, body)
	if err != nil {
		return nil, err
	}
	return b.gateway.sendJSON(r, m, request)
}

// crossOrigin knows the requests that a browser makes for another origin's page.
var crossOrigin = http.NewCrossOriginProtection()

// request puts together the JSON of the request of m, the method's call.
func (b *binding) request(r *http.Request, m *protocol.Message, body []byte) ([]byte, error) {
	object, form, err := readObject(r, body)
	if err != nil {
		return nil, err
	}
	values, err := params.Collect(r, b.names, form)
	if err != nil {
		return nil, notSent(protocol.InvalidArgument, "the query cannot be read: %w", err)
	}
	s := b.gateway.shapeOf(r, m)
	if len(values) == 0 && s == nil && len(object) > 0 {
		return object, nil
	}
	return s.merge(object, values, b.names)
}

// readObject returns the body as the JSON that it is, or the form that it is.
func readObject(r *http.Request, body []byte) (object []byte, form url.Values, err error) {
	contentType := first(r.Header, headerContentType)
	if CheckJSON(r) == nil {
		return body, nil, nil
	}
	if err := crossOrigin.Check(r); err != nil {
		return nil, nil, notSent(protocol.PermissionDenied, "a page of another origin makes calls in JSON alone: %w", err)
	}
	switch {
	case params.IsForm(contentType):
		if form, err = params.Form(contentType, body); err != nil {
			return nil, nil, notSent(protocol.InvalidArgument, "the form cannot be read: %w", err)
		}
		return nil, form, nil
	case len(body) == 0:
		return nil, nil, nil
	}
	return nil, nil, refuse(http.StatusUnsupportedMediaType, protocol.InvalidArgument,
		"Content-Type is %.128q: a body is application/json or a form", contentType)
}

// invalid is a request whose fields are at fault.
type invalid struct {
	err    *protocol.Error
	fields []FieldError
}

var _ FieldErrors = (*invalid)(nil)

func newInvalid(fields []FieldError) error {
	texts := make([]string, len(fields))
	for i, f := range fields {
		texts[i] = f.Field + " " + f.Message
	}
	return &invalid{notSent(protocol.InvalidArgument, "%s", strings.Join(texts, "; ")), fields}
}

// Error is that of the *protocol.Error within.
func (i *invalid) Error() string { return i.err.Error() }

// Unwrap returns the *protocol.Error.
func (i *invalid) Unwrap() error { return i.err }

// FieldErrors implements FieldErrors.
func (i *invalid) FieldErrors() []FieldError { return i.fields }

// merge returns the members of object with values put into it, under the names
// that s has for them. A value for which s has no room is left out, unless the path
// has it.
func (s *shape) merge(object []byte, values url.Values, always []string) ([]byte, error) {
	var out bytes.Buffer
	given := make(map[string]bool, len(values))
	var wrong []FieldError
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !s.takes(name) && !slices.Contains(always, name) {
			continue
		}
		canonical, p := s.property(name)
		encoded, fault := p.value(values[name])
		if fault != "" {
			wrong = append(wrong, FieldError{Field: name, Message: fault})
		}
		addMember(&out, canonical, encoded)
		given[s.key(canonical)] = true
	}
	missing := s.missing(given)
	if err := s.addMembers(&out, object, given, missing); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Values(missing)) {
		wrong = append(wrong, FieldError{Field: name, Message: "is required"})
	}
	if len(wrong) > 0 {
		return nil, newInvalid(wrong)
	}
	if out.Len() == 0 {
		return []byte("{}"), nil
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func addMember(out *bytes.Buffer, name string, value []byte) {
	if out.Len() == 0 {
		out.WriteByte('{')
	} else {
		out.WriteByte(',')
	}
	out.Write(quoteJSON(name))
	out.WriteByte(':')
	out.Write(value)
}

// missing returns the required members that are not given, by their keys.
func (s *shape) missing(given map[string]bool) map[string]string {
	missing := make(map[string]string)
	if s == nil {
		return missing
	}
	for _, name := range s.Required {
		if key := s.key(name); !given[key] {
			missing[key] = name
		}
	}
	return missing
}

// addMembers copies the members of object to out, but for those that are given already,
// by their keys. It takes those that it met from missing; of the others it keeps
// nothing, since there may be millions.
func (s *shape) addMembers(out *bytes.Buffer, object []byte, given map[string]bool, missing map[string]string) error {
	if len(object) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(object))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return notJSON(err)
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return notJSON(err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return notJSON(err)
		}
		name, _ := token.(string) // a key is a string, or Token fails
		if key := s.key(name); !given[key] {
			addMember(out, name, value)
			delete(missing, key)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return notJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return notSent(protocol.InvalidArgument, "something follows the JSON object of the body")
	}
	return nil
}

func notJSON(err error) error {
	if err == nil {
		return notSent(protocol.InvalidArgument, "the body is JSON, but no object")
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return notSent(protocol.InvalidArgument, "the body is no JSON object: %w", err)
}
