package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/gateway/internal/params"
	"github.com/sinew-rpc/sinew/protocol"
)

// shapesFor is how long what providers say of their types is believed: a deploy
// may change them.
const shapesFor = 10 * time.Second

// shapes knows what is listed, and what the requests of methods look like.
type shapes struct {
	known atomic.Pointer[knownShapes] // replaced, never changed
}

type knownShapes struct {
	services map[string]bool
	byMethod map[string]*shape
	until    time.Time // it is believed
}

func (k *knownShapes) fresh() bool { return time.Until(k.until) >= 0 }

// ask returns what is known, after asking for it where that was long ago; nil where
// nobody ever said.
func (s *shapes) ask(ctx context.Context, backend Backend) *knownShapes {
	known := s.known.Load()
	if known == nil || !known.fresh() {
		if services, err := backend.Services(ctx); err == nil { // else what was known will do
			known = readShapes(services)
			s.known.Store(known)
		}
	}
	return known
}

func readShapes(services []protocol.ServiceInfo) *knownShapes {
	known := &knownShapes{services: make(map[string]bool), byMethod: make(map[string]*shape), until: time.Now().Add(shapesFor)}
	for _, service := range services {
		known.services[service.Name] = true
		for _, method := range service.Methods {
			if s := readShape(method.RequestSchema); s != nil {
				known.byMethod[service.Name+"."+method.Name] = s
			}
		}
	}
	return known
}

// shape is what the gateway has to know of a JSON Schema to put text into it.
type shape struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	Items      *shape            `json:"items"`
	Enum       []json.RawMessage `json:"enum"`
	Properties map[string]*shape `json:"properties"`
	Required   []string          `json:"required"`
	Defs       map[string]*shape `json:"$defs"`
	Additional json.RawMessage   `json:"additionalProperties"` // a schema, or a truth

	open   bool            // there may be members that Properties does not name
	others *shape          // of such; nil: anything
	folded map[string]bool // of a map: the names in Properties, by Fold
}

// readShape returns nil for a schema that is none.
func readShape(schema string) *shape {
	s := new(shape)
	if schema == "" || json.Unmarshal([]byte(schema), s) != nil {
		return nil
	}
	if s.Ref != "" {
		defs := s.Defs
		if s = defs[strings.TrimPrefix(s.Ref, "#/$defs/")]; s != nil {
			s.Defs = defs
		}
	}
	if s != nil {
		s.readOthers()
	}
	return s
}

// readOthers learns what members there may be beside those that are named: those of
// a map, and of what may be any value. An object that says nothing of them, as a
// struct does, has none.
func (s *shape) readOthers() {
	switch text := string(s.Additional); text {
	case "", "null":
		s.open = s.Type == "" && len(s.Properties) == 0
	case "true", "false":
		s.open = text == "true"
	default:
		s.open = true
		if json.Unmarshal(s.Additional, &s.others) != nil {
			s.others = nil
		}
	}
	if s.open && s.Type == "object" {
		s.folded = make(map[string]bool, len(s.Properties))
		for name := range s.Properties {
			s.folded[params.Fold(name)] = true
		}
	}
}

// key returns what is the same for names that mean one member. Those of a map, beside
// what it names, are told apart by their case. What may be any value is perhaps read as
// a struct, and then a value of the path must win in whatever case the body has it.
func (s *shape) key(name string) string {
	folded := params.Fold(name)
	if s == nil || s.folded == nil || s.folded[folded] {
		return folded
	}
	return name
}

// property finds a member as encoding/json does: by its name, else by its name in
// another case, else among the others. A nil shape has none.
func (s *shape) property(name string) (canonical string, p *shape) {
	if s == nil {
		return name, nil
	}
	if p = s.Properties[name]; p != nil {
		return name, p
	}
	for canonical, p := range s.Properties {
		if strings.EqualFold(canonical, name) {
			return canonical, p
		}
	}
	return name, s.others
}

// takes tells whether there is, or may be, a member of that name. A nil shape says
// nothing against it.
func (s *shape) takes(name string) bool {
	if s == nil || s.open {
		return true
	}
	_, p := s.property(name)
	return p != nil
}

// value returns the JSON of what stands as text in a path, a query or a form, or
// what is wrong with it.
func (s *shape) value(texts []string) (encoded json.RawMessage, wrong string) {
	switch {
	case s == nil:
		return guess(texts), ""
	case s.Type == "array":
		return s.list(texts)
	case len(texts) != 1 && s.isAnything():
		return (&shape{Items: s}).list(texts)
	case len(texts) != 1:
		return nil, "is given " + strconv.Itoa(len(texts)) + " times: once is right"
	}
	encoded, wrong = s.one(texts[0])
	if wrong == "" && len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(e json.RawMessage) bool { return string(e) == string(encoded) }) {
		return nil, "must be one of " + joinRaw(s.Enum)
	}
	return encoded, wrong
}

// isAnything tells that s says nothing.
func (s *shape) isAnything() bool {
	return s.Type == "" && s.Ref == "" && len(s.Enum) == 0 && len(s.Properties) == 0
}

// one is the JSON of a single value.
func (s *shape) one(text string) (encoded json.RawMessage, wrong string) {
	switch s.Type {
	case "integer":
		if _, err := strconv.ParseInt(text, 10, 64); err == nil && json.Valid([]byte(text)) {
			return json.RawMessage(text), ""
		}
		if _, err := strconv.ParseUint(text, 10, 64); err == nil && json.Valid([]byte(text)) {
			return json.RawMessage(text), ""
		}
		return nil, "must be an integer"
	case "number":
		if _, err := strconv.ParseFloat(text, 64); err == nil && json.Valid([]byte(text)) {
			return json.RawMessage(text), ""
		}
		return nil, "must be a number"
	case "boolean":
		if text == "on" { // what a checkbox sends
			return json.RawMessage("true"), ""
		}
		if b, err := strconv.ParseBool(text); err == nil {
			return json.RawMessage(strconv.FormatBool(b)), ""
		}
		return nil, "must be true or false"
	case "string":
		return quoteJSON(text), ""
	}
	if json.Valid([]byte(text)) { // an object, or any value
		return json.RawMessage(text), ""
	}
	if s.Type == "object" || s.Ref != "" {
		return nil, "must be a JSON object"
	}
	return quoteJSON(text), ""
}

func (s *shape) list(texts []string) (json.RawMessage, string) {
	out := []byte{'['}
	for i, text := range texts {
		if i > 0 {
			out = append(out, ',')
		}
		element := guess([]string{text})
		if s.Items != nil {
			var wrong string
			if element, wrong = s.Items.value([]string{text}); wrong != "" {
				return nil, "element " + strconv.Itoa(i) + " " + wrong
			}
		}
		out = append(out, element...)
	}
	return append(out, ']'), ""
}

// guess is for methods whose types nobody tells: numbers and truths as such, the
// rest as text, what is given more than once as a list.
func guess(texts []string) json.RawMessage {
	if len(texts) != 1 {
		list, _ := (&shape{Type: "array"}).list(texts)
		return list
	}
	text := texts[0]
	if _, err := strconv.ParseFloat(text, 64); (err == nil || text == "true" || text == "false") && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return quoteJSON(text)
}

// quoteJSON takes what is not UTF-8 as U+FFFD.
func quoteJSON(text string) json.RawMessage {
	quoted, err := json.Marshal(text)
	if err != nil { // text always encodes
		return json.RawMessage(`""`)
	}
	return quoted
}

func joinRaw(values []json.RawMessage) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}
