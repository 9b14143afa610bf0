package openapi

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/swaggest/openapi-go/openapi31"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
)

const (
	version      = "3.1.0" // of OpenAPI
	contentJSON  = "application/json"
	errorSchema  = "sinew.Error"
	authScheme   = "authorization"
	defaultTitle = "Services"
)

// Document describes services, in their order, and the routes that are bound to
// their methods. title and apiVersion may be empty.
func Document(services []protocol.ServiceInfo, bindings []gateway.Binding, title, apiVersion string) *openapi31.Spec {
	b := &builder{components: newComponents(), paths: make(map[string]openapi31.PathItem), methods: make(map[string]described)}
	var tags []openapi31.Tag
	for _, service := range services {
		tags = append(tags, openapi31.Tag{Name: service.Name})
		for _, method := range service.Methods {
			b.call(service.Name, method)
		}
	}
	for _, bound := range bindings {
		b.route(bound)
	}
	b.components.schemas[errorSchema] = schemaOfErrors()
	return &openapi31.Spec{
		Openapi: version,
		Info:    openapi31.Info{Title: cmp.Or(title, defaultTitle), Version: cmp.Or(apiVersion, "0")},
		Tags:    tags,
		Paths:   &openapi31.Paths{MapOfPathItemValues: b.paths},
		Components: &openapi31.Components{
			Schemas: b.components.schemas,
			SecuritySchemes: map[string]openapi31.SecuritySchemeOrReference{
				authScheme: {SecurityScheme: &openapi31.SecurityScheme{HTTP: &openapi31.SecuritySchemeHTTP{Scheme: "bearer"}}},
			},
		},
		Security: []map[string][]string{{}, {authScheme: {}}}, // with or without
	}
}

// builder makes the paths of one document.
type builder struct {
	components *components
	paths      map[string]openapi31.PathItem
	methods    map[string]described // by "Service.Method"
}

// described is what is known of a method's types.
type described struct {
	service           string
	request, response map[string]any // references, or whole schemas
	root              map[string]any // of the request, not by reference
}

// call adds POST /{Service}/{Method}.
func (b *builder) call(service string, method protocol.MethodInfo) {
	d := described{service: service}
	d.request, d.root = b.components.add(method.RequestSchema, method.Request)
	d.response, _ = b.components.add(method.ResponseSchema, method.Response)
	b.methods[service+"."+method.Name] = d
	operation := d.operation(service + "." + method.Name)
	operation.RequestBody = body(d.request)
	b.paths["/"+service+"/"+method.Name] = openapi31.PathItem{Post: operation}
}

// operation is one without what the request is.
func (d described) operation(id string) *openapi31.Operation {
	return &openapi31.Operation{
		ID:   &id,
		Tags: []string{d.service},
		Responses: &openapi31.Responses{
			MapOfResponseOrReferenceValues: map[string]openapi31.ResponseOrReference{
				"200": {Response: &openapi31.Response{Description: "The reply.", Content: content(d.response)}},
			},
			Default: &openapi31.ResponseOrReference{Response: &openapi31.Response{
				Description: "The call failed. The header Sinew-Outcome tells whether the method may have run.",
				Content:     content(reference(errorSchema)),
			}},
		},
	}
}

func body(schema map[string]any) *openapi31.RequestBodyOrReference {
	required := true
	return &openapi31.RequestBodyOrReference{RequestBody: &openapi31.RequestBody{Required: &required, Content: content(schema)}}
}

func content(schema map[string]any) map[string]openapi31.MediaType {
	return map[string]openapi31.MediaType{contentJSON: {Schema: schema}}
}

// schemaOfErrors is what gateway.WriteError writes.
func schemaOfErrors() map[string]any {
	text := map[string]any{"type": "string"}
	var names []string
	for code := protocol.Canceled; code <= protocol.Unauthenticated; code++ {
		names = append(names, gateway.CodeName(code))
	}
	return map[string]any{
		"type":     "object",
		"required": []string{"code"},
		"properties": map[string]any{
			"code":    map[string]any{"type": "string", "enum": names},
			"message": text,
			"fields": map[string]any{
				"type":        "array",
				"description": "What is wrong with single fields of the request.",
				"items": map[string]any{
					"type":       "object",
					"required":   []string{"field", "message"},
					"properties": map[string]any{"field": text, "message": text},
				},
			},
		},
	}
}

// route adds a route that is bound to a method. A pattern without a method of HTTP
// is described as POST; one with a host, or of a method that OpenAPI does not
// have, is left out.
func (b *builder) route(bound gateway.Binding) {
	verb, path, found := strings.Cut(bound.Pattern, " ")
	if !found {
		verb, path = http.MethodPost, bound.Pattern
	}
	path = strings.TrimSuffix(strings.ReplaceAll(strings.TrimSpace(path), "...}", "}"), "{$}")
	d, known := b.methods[bound.ServiceMethod]
	if !strings.HasPrefix(path, "/") || !known {
		return
	}
	item := b.paths[path]
	operation := d.operation(verb + " " + path)
	if !place(&item, verb, operation) {
		return
	}
	inPath := bound.Names()
	operation.Parameters = parameters(d.root, inPath, verb == http.MethodGet || verb == http.MethodDelete || verb == http.MethodHead)
	if verb != http.MethodGet && verb != http.MethodDelete && verb != http.MethodHead {
		operation.RequestBody = body(d.request)
		required := false // path and query may say all
		operation.RequestBody.RequestBody.Required = &required
	}
	b.paths[path] = item
}

// place puts the operation under its verb; false where there is no place.
func place(item *openapi31.PathItem, verb string, operation *openapi31.Operation) bool {
	places := map[string]**openapi31.Operation{
		http.MethodGet: &item.Get, http.MethodPut: &item.Put, http.MethodPost: &item.Post, http.MethodDelete: &item.Delete,
		http.MethodOptions: &item.Options, http.MethodHead: &item.Head, http.MethodPatch: &item.Patch, http.MethodTrace: &item.Trace,
	}
	at := places[verb]
	if at == nil || *at != nil {
		return false
	}
	*at = operation
	return true
}
