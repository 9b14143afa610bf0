// Package prometheus shows sinew to Prometheus, on
// github.com/prometheus/client_golang. Nothing is registered by itself: what
// the constructors return are Collectors, for a Registry of the program's.
//
//   - [Recorder] keeps what wrapper.Metrics and wrapper.AttemptMetrics measure:
//     calls, attempts and requests by method and code, how long they took, and
//     how many are in flight.
//   - [NewServerCollector] reads server.Stats when it is scraped: connections,
//     bytes, what was refused before any wrapper ran, and whether the server
//     stands in its registry.
//   - [NewClientCollector] reads client.Stats and the states of the providers:
//     retries, hedges, moves and their budget, and who can be called.
//   - [NewBreakerCollector] and [NewConcurrencyCollector] read wrapper.Breaker and
//     wrapper.ConcurrencyLimit of a server.
//
// Labels have few values each: names are bounded by wrapper.Metrics, codes are
// 17, reasons and states are fixed lists, and providers are a label only where
// an option says so.
package prometheus
