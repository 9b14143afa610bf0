package server_test

import (
	"log/slog"
	"testing"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/internal/testutil"
)

func TestMain(m *testing.M) {
	log.SetHandler(slog.DiscardHandler) // the tests provoke what is logged
	testutil.Main(m)
}
