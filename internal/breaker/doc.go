// Package breaker keeps calls away from what fails: a circuit breaker after
// Michael Nygard, "Release It!", 2007.
//
// A [Breaker] is closed until Threshold failures fall within Window. It is then
// open, and refuses, for one Window. The first call after that is the probe:
// while it is under way the breaker is half-open and refuses all others, and
// what becomes of it decides; where that tells nothing the next call is the probe,
// and nothing has changed. Calls whose success tells nothing are no probes, and pass
// beside them. Every change of state begins a new generation,
// and the result of a call that began in an older one counts for nothing: it
// tells of the time before.
//
// What is a failure is decided by who reports it.
package breaker
