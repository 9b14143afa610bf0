package jsonrpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sinew-rpc/sinew/protocol"
)

const version = "2.0"

var null = json.RawMessage("null")

// request is a request object, its parts as they were sent.
type request struct {
	method string
	params json.RawMessage // nil: none
	id     json.RawMessage // nil: a notification
}

// parseRequest takes a value apart. What is wrong with it is answered with the
// id in the request that it returns: the one that was sent where there is no
// doubt about it, else null.
func parseRequest(value json.RawMessage) (request, *Error) {
	if kind(value) != '{' {
		return request{id: null}, newError(InvalidRequest, "")
	}
	var p parser
	for name, v := range members(value) {
		p.member(name, v)
	}
	fault := p.fault()
	if fault != nil && (p.req.id == nil || p.badID) {
		p.req.id = null
	}
	return p.req, fault
}

// parser collects the members of one request. It goes on after a fault: the id
// may come last.
type parser struct {
	req     request
	seen    [4]bool // by the position in requestMembers
	badID   bool
	invalid bool   // by the specification
	refused string // what this package alone takes for a fault, the first
}

var requestMembers = [4]string{"jsonrpc", "method", "params", "id"}

func (p *parser) member(name string, v json.RawMessage) {
	i := slices.Index(requestMembers[:], name)
	switch {
	case i < 0:
		p.refuse(fmt.Sprintf("a request has no member %.64q", name))
		return
	case p.seen[i]:
		p.badID = p.badID || name == "id"
		p.refuse("the member " + name + " stands there twice")
		return
	}
	p.seen[i] = true
	switch name {
	case "jsonrpc":
		p.need(kind(v) == '"' && decodeString(v) == version)
	case "method":
		if p.need(kind(v) == '"') {
			p.req.method = decodeString(v)
		}
	case "params":
		p.need(kind(v) == '[' || kind(v) == '{')
		p.req.params = v
	case "id":
		p.badID = !p.need(isID(v))
		p.req.id = v
	}
}

// need notes what the specification demands, and returns it.
func (p *parser) need(ok bool) bool {
	p.invalid = p.invalid || !ok
	return ok
}

func (p *parser) refuse(detail string) {
	if p.refused == "" {
		p.refused = detail
	}
}

// fault returns what is wrong with the request. The specification's own rules
// need no explanation.
func (p *parser) fault() *Error {
	switch {
	case p.invalid || !p.seen[0] || !p.seen[1]:
		return newError(InvalidRequest, "")
	case p.refused != "":
		return newError(InvalidRequest, p.refused)
	}
	return nil
}

// isID reports whether an id may have this value.
func isID(v json.RawMessage) bool {
	switch kind(v) {
	case '{', '[', 't', 'f':
		return false
	}
	return true
}

// body returns what the method is given, see the package's description. names are
// those of Option.Positional, nil where the method is not in it.
func (q *request) body(names []string) (json.RawMessage, *Error) {
	switch {
	case q.params == nil:
		return null, nil
	case kind(q.params) == '{':
		return q.params, nil
	}
	values := firstElements(q.params, max(2, len(names)+1))
	switch {
	case names != nil:
		return named(names, values)
	case len(values) == 0:
		return null, nil
	case len(values) == 1:
		return values[0], nil
	}
	return q.params, nil
}

// firstElements returns at most n elements of an array: one of millions would take
// many times its own room.
func firstElements(array json.RawMessage, n int) (values []json.RawMessage) {
	for v := range elements(array) {
		if values = append(values, v); len(values) == n {
			break
		}
	}
	return values
}

// named returns an object of values under names.
func named(names []string, values []json.RawMessage) (json.RawMessage, *Error) {
	if len(values) > len(names) {
		detail := fmt.Sprintf("more params by position than the %d that the method takes", len(names))
		return nil, fromProtocol(protocol.NewError(protocol.InvalidArgument, detail).WithOutcome(protocol.NotSent))
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(marshal(names[i]))
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
