// Package middleware holds what people expect round HTTP handlers, one file
// each: Recover, AccessLog, CORS, BodyLimit, RateLimit and Breaker; tokens are in
// the package jwt below. Each is a plain func(http.Handler) http.Handler, for
// Gateway.Use, for Group.Use, or for a mux of somebody else; and those of
// somebody else do in a gateway.
package middleware
