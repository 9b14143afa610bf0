// Package openapi describes the services that a gateway knows as an OpenAPI 3.1
// document, on the types of github.com/swaggest/openapi-go, and shows them on a
// page where they can be called. The page needs nothing but the gateway: its
// assets are in the program.
//
//	err := openapi.Mount(gw, nil)   // GET /openapi.json, GET /docs
//
// What the document says of types comes from the providers: the names and types
// of fields as encoding/json has them, and what the tags description, enum,
// required and validate:"required" say. A provider that tells only the names of
// its Go types is listed with these.
//
// Document and page stand behind the gateway's middleware and its
// Option.Authorize. A gateway that leaves the judgement of calls to the providers
// shows the document to those whom they let ask for their services, and the page,
// which knows none before it has the document, to everyone who reaches it.
package openapi
