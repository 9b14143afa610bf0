//go:build !race

package gateway_test

import (
	"testing"

	"github.com/sinew-rpc/sinew/gateway"
)

// What the gateway itself allocates for a call in JSON is known: the message with
// its metadata, the body, the deadline, the goroutine that asks the backend, and
// the headers of the answer.
func TestAllocationsOfAJSONCall(t *testing.T) {
	g, err := gateway.New(fixed{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(200, serveAgain(g)); got > 23 {
		t.Errorf("%v allocations, 22 were known", got)
	}
}
