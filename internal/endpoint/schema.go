package endpoint

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// Schema describes t in JSON Schema (draft 2020-12), as encoding/json reads and
// writes it: the names of its fields, their types, and what these tags say:
//
//	description:"…"   what the field is for
//	enum:"a,b,c"      the values that it takes
//	required:"true"   it must be there; validate:"required" and binding:"required" say so too
//
// A type with a method Enum() []any or Description() string says it for itself.
// Types that marshal themselves are described as any value, or as text. The
// structs within t stand under "$defs", so that the schema is no longer than the
// types are. A slice, an array or a map within itself, as of type T []T, is described
// as any value there.
func Schema(t reflect.Type) string {
	d := describer{names: make(map[reflect.Type]string), open: make(map[reflect.Type]bool)}
	t = pointee(t)
	root := d.describe(t)
	if root.Ref != "" && !d.recursive[t] { // stands for itself alone: no need of a name
		root = d.take(d.names[t])
	}
	root.Defs = d.defs
	encoded, err := json.Marshal(root)
	if err != nil { // an Enum that does not encode
		return "{}"
	}
	return string(encoded)
}

// schema is the part of JSON Schema that Go types need.
type schema struct {
	Ref                  string       `json:"$ref,omitempty"`
	Title                string       `json:"title,omitempty"`
	Description          string       `json:"description,omitempty"`
	Type                 string       `json:"type,omitempty"`
	Format               string       `json:"format,omitempty"`
	ContentEncoding      string       `json:"contentEncoding,omitempty"`
	Minimum              *int         `json:"minimum,omitempty"`
	MinItems             int          `json:"minItems,omitempty"`
	MaxItems             int          `json:"maxItems,omitempty"`
	Enum                 []any        `json:"enum,omitempty"`
	Items                *schema      `json:"items,omitempty"`
	Properties           namedSchemas `json:"properties,omitempty"`
	Required             []string     `json:"required,omitempty"`
	AdditionalProperties *schema      `json:"additionalProperties,omitempty"`
	Defs                 namedSchemas `json:"$defs,omitempty"`
}

// namedSchemas is a JSON object whose members keep the order of the fields.
type namedSchemas []namedSchema

type namedSchema struct {
	name   string
	schema *schema
}

// MarshalJSON implements json.Marshaler.
func (n namedSchemas) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, member := range n {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(member.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(member.schema)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// describer makes one schema.
type describer struct {
	names     map[reflect.Type]string // of the structs met so far
	recursive map[reflect.Type]bool   // those that were met again
	open      map[reflect.Type]bool   // slices, arrays and maps being described
	defs      namedSchemas
}

// take removes a definition.
func (d *describer) take(name string) *schema {
	i := slices.IndexFunc(d.defs, func(n namedSchema) bool { return n.name == name })
	s := d.defs[i].schema
	d.defs = slices.Delete(d.defs, i, i+1)
	return s
}

var (
	typeTime          = reflect.TypeFor[time.Time]()
	typeNumber        = reflect.TypeFor[json.Number]()
	typeMarshaler     = reflect.TypeFor[json.Marshaler]()
	typeUnmarshaler   = reflect.TypeFor[json.Unmarshaler]()
	typeTextMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	typeTextUnmarshal = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func implements(t reflect.Type, interfaces ...reflect.Type) bool {
	return slices.ContainsFunc(interfaces, func(i reflect.Type) bool {
		return t.Implements(i) || reflect.PointerTo(t).Implements(i)
	})
}

// describe returns the schema of t, by reference where t is a struct with a name.
func (d *describer) describe(t reflect.Type) *schema {
	t = pointee(t)
	s := d.shape(t)
	if s.Ref == "" {
		s.Enum, s.Description = ofItself(t)
	}
	return s
}

// pointee is what a pointer, or one to a pointer, leads to.
func pointee(t reflect.Type) reflect.Type {
	for range protocol.MaxDepth { // a type may be a pointer to itself
		if t.Kind() != reflect.Pointer {
			break
		}
		t = t.Elem()
	}
	return t
}

func (d *describer) shape(t reflect.Type) *schema {
	switch {
	case t == typeTime:
		return &schema{Type: "string", Format: "date-time"}
	case t == typeNumber:
		return &schema{Type: "number"}
	case implements(t, typeMarshaler, typeUnmarshaler):
		return &schema{}
	case implements(t, typeTextMarshaler, typeTextUnmarshal):
		return &schema{Type: "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int64:
		return &schema{Type: "integer", Format: "int64"}
	case reflect.Int32:
		return &schema{Type: "integer", Format: "int32"}
	case reflect.Int, reflect.Int8, reflect.Int16:
		return &schema{Type: "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return &schema{Type: "integer", Minimum: new(int)}
	case reflect.Float32:
		return &schema{Type: "number", Format: "float"}
	case reflect.Float64:
		return &schema{Type: "number", Format: "double"}
	case reflect.String:
		return &schema{Type: "string"}
	case reflect.Slice, reflect.Array, reflect.Map:
		return d.collection(t)
	case reflect.Struct:
		return d.structure(t)
	}
	return &schema{} // an interface: any value
}

// collection describes a type of many elements.
func (d *describer) collection(t reflect.Type) *schema {
	if d.open[t] {
		return &schema{}
	}
	d.open[t] = true
	defer delete(d.open, t)
	switch {
	case t.Kind() == reflect.Map:
		return &schema{Type: "object", AdditionalProperties: d.describe(t.Elem())}
	case t.Kind() == reflect.Array:
		return &schema{Type: "array", Items: d.describe(t.Elem()), MinItems: t.Len(), MaxItems: t.Len()}
	case t.Elem().Kind() == reflect.Uint8:
		return &schema{Type: "string", ContentEncoding: "base64"}
	}
	return &schema{Type: "array", Items: d.describe(t.Elem())}
}

// structure puts a struct under a name, once, and refers to it; one without a
// name is described where it stands.
func (d *describer) structure(t reflect.Type) *schema {
	if t.Name() == "" {
		s := &schema{Type: "object"}
		d.fields(s, t)
		return s
	}
	if name, met := d.names[t]; met {
		if d.recursive == nil {
			d.recursive = make(map[reflect.Type]bool)
		}
		d.recursive[t] = true
		return &schema{Ref: "#/$defs/" + name}
	}
	name := d.freshName(t)
	d.names[t] = name
	defer func(outer map[reflect.Type]bool) { d.open = outer }(d.open)
	d.open = make(map[reflect.Type]bool) // what is described here is the same wherever t was met
	s := &schema{Type: "object", Title: t.String()}
	d.defs = append(d.defs, namedSchema{name, s})
	s.Enum, s.Description = ofItself(t)
	d.fields(s, t)
	return &schema{Ref: "#/$defs/" + name}
}

// freshName is the type's name with what may not stand in a reference replaced,
// and told apart from a type of that name in another package of that name.
func (d *describer) freshName(t reflect.Type) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, t.String())
	for taken := true; taken; {
		taken = slices.ContainsFunc(d.defs, func(n namedSchema) bool { return n.name == name })
		if taken {
			name += "_"
		}
	}
	return name
}

// fields describes the fields of a struct, those of embedded ones among them.
func (d *describer) fields(s *schema, t reflect.Type) {
	for _, f := range jsonFields(t) {
		described := d.field(f)
		s.Properties = append(s.Properties, namedSchema{f.name, described})
		if f.isRequired() {
			s.Required = append(s.Required, f.name)
		}
	}
}

func (d *describer) field(f jsonField) *schema {
	s := d.describe(f.Type)
	if f.asText {
		s = &schema{Type: "string"}
	}
	s.Description = cmp.Or(f.Tag.Get("description"), s.Description)
	if values := f.Tag.Get("enum"); values != "" {
		s.Enum = nil
		for value := range strings.SplitSeq(values, ",") {
			s.Enum = append(s.Enum, enumValue(s.Type, strings.TrimSpace(value)))
		}
	}
	return s
}

// enumValue is a value as JSON has it: a number or truth for such fields.
func enumValue(kind, value string) any {
	if kind != "string" && json.Valid([]byte(value)) {
		return json.RawMessage(value)
	}
	return value
}

// jsonField is a field as encoding/json sees it.
type jsonField struct {
	reflect.StructField
	name   string
	asText bool // the option "string"
}

func (f *jsonField) isRequired() bool {
	if f.Tag.Get("required") == "true" {
		return true
	}
	for _, tag := range []string{f.Tag.Get("validate"), f.Tag.Get("binding")} {
		if slices.Contains(strings.Split(tag, ","), "required") {
			return true
		}
	}
	return false
}

// jsonFields lists the fields of t that travel, in order. Where a name occurs
// more than once, the field that is less deeply embedded counts.
func jsonFields(t reflect.Type) []jsonField {
	var fields []jsonField
	depths := make(map[string]int)
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" || hidden(t, f.Index) || f.Anonymous && name == "" && isStruct(f.Type) || !f.IsExported() {
			continue
		}
		name = cmp.Or(name, f.Name)
		field := jsonField{f, name, slices.Contains(strings.Split(options, ","), "string")}
		if depth, met := depths[name]; met {
			if depth > len(f.Index) {
				i := slices.IndexFunc(fields, func(other jsonField) bool { return other.name == name })
				fields[i], depths[name] = field, len(f.Index)
			}
			continue
		}
		depths[name] = len(f.Index)
		fields = append(fields, field)
	}
	return fields
}

// hidden tells that a field is reached through an embedded struct that does not
// lend its fields: one that the tag names, or leaves out.
func hidden(t reflect.Type, index []int) bool {
	for i := 1; i < len(index); i++ {
		outer := t.FieldByIndex(index[:i])
		if outer.Tag.Get("json") != "" && !strings.HasPrefix(outer.Tag.Get("json"), ",") {
			return true
		}
	}
	return false
}

func isStruct(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// ofItself asks a type what it says of itself. A method that panics on a zero
// value says nothing.
func ofItself(t reflect.Type) (enum []any, description string) {
	defer func() {
		if recover() != nil {
			enum, description = nil, ""
		}
	}()
	zero := reflect.New(t).Interface()
	if e, ok := zero.(interface{ Enum() []any }); ok {
		enum = e.Enum()
	}
	if d, ok := zero.(interface{ Description() string }); ok {
		description = d.Description()
	}
	return enum, description
}
