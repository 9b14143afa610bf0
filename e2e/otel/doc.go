// Package otel proves that the spans of wrapper/opentracing reach what people
// run today: through OpenTelemetry's bridge and its SDK, by OTLP, to a receiver.
// It is a module of its own, so that no user of sinew downloads any of that.
package otel
