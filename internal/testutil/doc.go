// Package testutil is what the tests of several packages share. Nothing but
// tests may import it.
package testutil
