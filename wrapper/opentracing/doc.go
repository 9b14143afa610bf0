// Package opentracing makes spans of calls, by any tracer of
// github.com/opentracing/opentracing-go; OpenTelemetry's SDK is one through
// go.opentelemetry.io/otel/bridge/opentracing.
//
// A client makes a span for each call, and for each attempt of it a child that
// names the provider and travels with the request; a server makes a child of
// that for the time in which it serves. Where all three use one trace, it shows
// how long a call took, how often it was tried, and what the network had of it.
// Calls that a handler makes with its context are children of its span.
package opentracing
