package openapi

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// components collects the schemas of many methods under names of their own.
type components struct {
	schemas  map[string]map[string]any
	meanings map[string]string // by name: the schema with all that it refers to
}

func newComponents() *components {
	return &components{
		schemas:  make(map[string]map[string]any),
		meanings: map[string]string{errorSchema: "the gateway's own"},
	}
}

func reference(name string) map[string]any {
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

// add takes what a method says of a type: its JSON Schema, and the type's name
// where there is none. It returns how to refer to it, and the schema itself.
func (c *components) add(text, goType string) (refer, root map[string]any) {
	schema, ok := parseSchema(text)
	if !ok {
		return map[string]any{"title": goType}, nil
	}
	defs := takeDefs(schema)
	if ref := textOf(schema["$ref"]); ref != "" { // a type that refers to itself
		schema, _ = parseSchema(string(defs[strings.TrimPrefix(ref, defsPrefix)]))
	}
	name := textOf(schema["title"])
	if !isComponentName(name) {
		schema = c.rewritten(schema, c.addAll(defs))
		return schema, schema
	}
	whole, err := json.Marshal(schema)
	if err != nil { // what was parsed encodes
		return map[string]any{"title": goType}, nil
	}
	defs[name] = whole
	names := c.addAll(defs)
	return reference(names[name]), c.schemas[names[name]]
}

const defsPrefix = "#/$defs/"

// parseSchema reads the keywords of a schema that is an object.
func parseSchema(text string) (map[string]any, bool) {
	var raw map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &raw) != nil || raw == nil {
		return nil, false
	}
	schema := make(map[string]any, len(raw))
	for keyword, value := range raw {
		schema[keyword] = value
	}
	return schema, true
}

func textOf(keyword any) (text string) {
	raw, _ := keyword.(json.RawMessage)
	_ = json.Unmarshal(raw, &text) // no text
	return text
}

// takeDefs removes the definitions from a schema.
func takeDefs(schema map[string]any) map[string]json.RawMessage {
	raw, _ := schema["$defs"].(json.RawMessage)
	delete(schema, "$defs")
	defs := make(map[string]json.RawMessage)
	_ = json.Unmarshal(raw, &defs) // none
	return defs
}

var componentName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

func isComponentName(name string) bool { return componentName.MatchString(name) }

// addAll gives each definition a name in the document: its own, unless another
// type has that. Two types are one if they and all that they refer to are the
// same.
func (c *components) addAll(defs map[string]json.RawMessage) (names map[string]string) {
	names = make(map[string]string, len(defs))
	var fresh []string
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		given, isNew := c.nameFor(name, meaning(name, defs))
		names[name] = given
		if isNew {
			fresh = append(fresh, name)
		}
	}
	for _, name := range fresh {
		schema, ok := parseSchema(string(defs[name]))
		if !ok {
			schema = map[string]any{}
		}
		c.schemas[names[name]] = c.rewritten(schema, names)
	}
	return names
}

func (c *components) nameFor(name, meaning string) (given string, isNew bool) {
	if !isComponentName(name) {
		name = "type"
	}
	given = name
	for i := 2; ; i++ {
		known, taken := c.meanings[given]
		if !taken {
			c.meanings[given] = meaning
			return given, true
		}
		if known == meaning {
			return given, false
		}
		given = name + "_" + strconv.Itoa(i)
	}
}

var references = regexp.MustCompile(`"#/\$defs/([^"\\]*)"`)

// meaning is the text of a definition and of all that it refers to.
func meaning(name string, defs map[string]json.RawMessage) string {
	met := map[string]bool{name: true}
	for queue := []string{name}; len(queue) > 0; queue = queue[1:] {
		for _, found := range references.FindAllSubmatch(defs[queue[0]], -1) {
			if next := string(found[1]); !met[next] {
				met[next] = true
				queue = append(queue, next)
			}
		}
	}
	var text strings.Builder
	text.Write(defs[name])
	for _, other := range slices.Sorted(maps.Keys(met)) {
		text.WriteString("\n" + other + " ")
		text.Write(defs[other])
	}
	return text.String()
}

// rewritten returns the schema with references to the document's names.
func (c *components) rewritten(schema map[string]any, names map[string]string) map[string]any {
	out := make(map[string]any, len(schema))
	for keyword, value := range schema {
		raw, _ := value.(json.RawMessage)
		out[keyword] = json.RawMessage(references.ReplaceAllFunc(raw, func(ref []byte) []byte {
			name := string(references.FindSubmatch(ref)[1])
			if given := names[name]; given != "" {
				name = given
			}
			return []byte(`"#/components/schemas/` + name + `"`)
		}))
	}
	return out
}
