package server_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/server"
)

func TestServeCallShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mem := on(t, server.Option{})
		running(t, s)
		c := dial(t, mem, nil)
		c.add(t)
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if reason := <-c.away; reason == "" {
			t.Error("a goaway without a reason")
		}
		if err := s.Serve("mem", "server", nil); !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve after Shutdown returned %v", err)
		}
	})
}
