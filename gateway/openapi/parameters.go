package openapi

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/swaggest/openapi-go/openapi31"
)

// parameters describes what a bound route takes from its path and, if inQuery, its
// query: the fields of the method's request.
func parameters(root map[string]any, inPath []string, inQuery bool) []openapi31.ParameterOrReference {
	var list []openapi31.ParameterOrReference
	fields := fieldsOf(root)
	for _, name := range inPath {
		required := true
		schema := map[string]any{"type": "string"}
		if i := slices.IndexFunc(fields, func(f field) bool { return strings.EqualFold(f.name, name) }); i >= 0 {
			schema = fields[i].schema
			fields = slices.Delete(fields, i, i+1)
		}
		list = append(list, openapi31.ParameterOrReference{Parameter: &openapi31.Parameter{Name: name, In: openapi31.ParameterInPath, Required: &required, Schema: schema}})
	}
	if !inQuery {
		return list
	}
	for _, f := range fields {
		list = append(list, openapi31.ParameterOrReference{Parameter: &openapi31.Parameter{Name: f.name, In: openapi31.ParameterInQuery, Required: &f.required, Schema: f.schema}})
	}
	return list
}

// field is one property of a schema.
type field struct {
	name     string
	required bool
	schema   map[string]any
}

// fieldsOf lists the properties of a schema, sorted by name.
func fieldsOf(root map[string]any) []field {
	properties, _ := root["properties"].(json.RawMessage)
	var schemas map[string]map[string]any
	if json.Unmarshal(properties, &schemas) != nil { // none
		return nil
	}
	requirements, _ := root["required"].(json.RawMessage)
	var required []string
	_ = json.Unmarshal(requirements, &required) // none
	fields := make([]field, 0, len(schemas))
	for name, schema := range schemas {
		fields = append(fields, field{name, slices.Contains(required, name), schema})
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return fields
}
