// Package redis limits a rate for a whole cluster: all [Limiter]s with the same
// key take their tokens from one Redis server.
//
// Each token is one call of a script that decides atomically and by the server's
// clock, so the clocks of the cluster need not agree. The decision is the
// generic cell rate algorithm of ITU-T Recommendation I.371, in the form of a
// virtual schedule: one number for each key, when the next token is due.
//
// When Redis is away, calls go on: each process keeps to its share of the rate,
// says so in the log and in State, and looks every now and then whether Redis is
// back.
package redis
