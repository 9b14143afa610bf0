package main

import (
	"os"
	"testing"

	"github.com/sinew-rpc/sinew/internal/testutil"
)

// TestMain is a provider where the environment says so: the tests start themselves
// as the processes that the command line talks to.
func TestMain(m *testing.M) {
	if os.Getenv(providerEnv) != "" {
		os.Exit(provide())
	}
	testutil.Main(m, removeProgram)
}
