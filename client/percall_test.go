package client_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// What one call carries of the framework's keys joins its tags, wins over the
// client's own, and is of this call alone.
func TestKeysOfTheFrameworkOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{Auth: "of the client"})
		ctx := client.With(context.Background(), client.Tags(map[string]string{"idc": "lf"}), client.Auth("of the call"))
		ctx = client.With(ctx, client.RequestID("r-1"))
		for key, want := range map[string]string{"sinew-auth": "of the call", "sinew-request-id": "r-1", "sinew-tag-idc": "lf"} {
			resp, err := client.Invoke[text](ctx, c, "Echo.Meta", &text{key})
			if err != nil || resp.S != want {
				t.Errorf("%s travelled as %v, %v", key, resp, err)
			}
		}
		resp, err := client.Invoke[text](context.Background(), c, "Echo.Meta", &text{"sinew-auth"})
		if err != nil || resp.S != "of the client" {
			t.Errorf("another call brought %v, %v", resp, err)
		}
		if id := client.RequestIDFrom(ctx); id != "r-1" {
			t.Errorf("RequestIDFrom is %q", id)
		}
		if id := client.RequestIDFrom(context.Background()); id != "" {
			t.Errorf("RequestIDFrom of nothing is %q", id)
		}
	})
}

func TestATokenThatCannotTravelIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		err := c.Call(client.With(context.Background(), client.Auth("hush\n")), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.InvalidArgument, protocol.NotSent, "client.Auth")
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("the token is in the error: %v", err)
		}
		err = c.Call(client.With(context.Background(), client.RequestID("a\x00")), "Echo.Say", &text{}, nil)
		wantError(t, err, protocol.InvalidArgument, protocol.NotSent, "client.RequestID")
	})
}
