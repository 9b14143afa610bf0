// Package arch holds the architecture as tests: which package may import which,
// what the client and the server may link, and what library code does not do.
// It exports nothing.
package arch
