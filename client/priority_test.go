package client_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

func TestPriorityTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemNetwork()
		listenMem(t, n, "a")
		c := dialMem(t, n, "a", client.Option{})
		tag := client.Tags(map[string]string{"idc": "lf"})
		for name, test := range map[string]struct {
			options       []client.CallOption
			priority, tag string
		}{
			"none":               {nil, "", ""},
			"low":                {[]client.CallOption{client.Priority(-3)}, "-3", ""},
			"beside a tag":       {[]client.CallOption{client.Priority(8), tag}, "8", "lf"},
			"after a tag":        {[]client.CallOption{tag, client.Priority(-8)}, "-8", "lf"},
			"the last one holds": {[]client.CallOption{client.Priority(3), client.Priority(0)}, "", ""},
		} {
			ctx := client.With(context.Background(), test.options...)
			for key, want := range map[string]string{"sinew-priority": test.priority, "sinew-tag-idc": test.tag} {
				if resp, err := client.Invoke[text](ctx, c, "Echo.Meta", &text{key}); err != nil || resp.S != want {
					t.Errorf("%s: %s travelled as %v, %v", name, key, resp, err)
				}
			}
		}
		for _, n := range []int{protocol.MinPriority - 1, protocol.MaxPriority + 1} {
			err := c.Call(client.With(context.Background(), client.Priority(n)), "Echo.Say", &text{}, nil)
			wantError(t, err, protocol.InvalidArgument, protocol.NotSent, "client.Priority")
		}
	})
}
