package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
)

func newDrain(t *target) *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:   "drain [provider]...",
		Short: "Have providers finish what they do, and leave",
		Long: `Asks providers to drain: their clients go elsewhere, what runs is finished, the
registry lists them no more, and then they end. A provider that is listed is named
as "sinew ls" names it; --addr names it already. Of several each has left before the
next is asked. Only servers with Option.AdminAuthorize obey, and those whom it lets.`,
		Example:           "  sinew drain --addr 127.0.0.1:8888\n  sinew drain tcp@10.0.0.7:8888 --registry zk://127.0.0.1:2181",
		ValidArgsFunction: completeProvider(t),
		RunE: func(c *cobra.Command, args []string) error {
			return drain(c.Context(), t, args, all, c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all that the registry lists, one after the other")
	return c
}

func drain(ctx context.Context, t *target, names []string, all bool, out io.Writer) error {
	r, err := t.open(ctx, "")
	if err != nil {
		return err
	}
	defer r.Close()
	listed, _, err := t.providers(ctx, r)
	if err != nil {
		return err
	}
	providers, err := pickNamed(listed, names, all || len(t.addrs) > 0)
	if err != nil {
		return err
	}
	f, err := t.fleet()
	if err != nil {
		return err
	}
	defer f.Close()
	return f.drainAll(ctx, providers, out)
}

// drainAll has one drain after the other: the next when the last has left.
func (f *fleet) drainAll(ctx context.Context, providers []registry.Provider, out io.Writer) (failed error) {
	last := len(providers) - 1
	for _, p := range providers[:last] {
		before, _ := f.askAnew(ctx, p) // drain fails as well, or it does not say
		err := f.drain(ctx, p, out)
		if err == nil {
			err = f.awaitLeave(ctx, p, before.Started)
		}
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			return failed
		}
	}
	return errors.Join(failed, f.drain(ctx, providers[last], out))
}

// leavePoll is how often one that drains is asked whether it still does.
const leavePoll = 100 * time.Millisecond

// awaitLeave waits until p, which was asked to drain and began at started, has left:
// until nobody listens there, or another answers in its place.
func (f *fleet) awaitLeave(ctx context.Context, p registry.Provider, started time.Time) error {
	for drains := false; ; {
		status, err := f.askAnew(ctx, p)
		var socket *net.OpError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && !status.Draining && !status.Started.Equal(started):
			return nil
		case protocol.CodeOf(err) == protocol.DeadlineExceeded:
			return fmt.Errorf("%s drains and does not answer any more: %w", p.ProviderKey, err)
		case errors.As(err, &socket) && socket.Op == "dial":
			return nil
		case protocol.IsDraining(err):
			drains = true
		case drains && protocol.IsRemote(err): // another, which does not say
			return nil
		}
		if err := pause(ctx, leavePoll); err != nil {
			return err
		}
	}
}

// askAnew asks p how it is over a connection of its own: one that stands would keep it
// from leaving.
func (f *fleet) askAnew(ctx context.Context, p registry.Provider) (status protocol.ServerStatus, err error) {
	c, err := client.NewRPCClient(p.Network, p.Addr, &f.option)
	if err != nil {
		return status, err
	}
	defer c.Close()
	err = f.ask(ctx, c, protocol.MethodStatus, &protocol.StatusRequest{}, &status)
	return status, err
}

// pickNamed returns the providers of those names; all without a name, where that
// was asked for or there is only one.
func pickNamed(listed []registry.Provider, names []string, all bool) ([]registry.Provider, error) {
	keys := make([]string, len(listed))
	for i, p := range listed {
		keys[i] = p.ProviderKey
	}
	switch {
	case len(listed) == 0:
		return nil, errors.New("no provider is listed")
	case len(names) == 0 && (all || len(listed) == 1):
		return listed, nil
	case len(names) == 0:
		return nil, misused("which one? Name it, or give --all: %s", strings.Join(keys, ", "))
	}
	picked := make([]registry.Provider, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(listed, func(p registry.Provider) bool { return p.ProviderKey == name || p.Addr == name })
		if i < 0 {
			return nil, misused("no provider %q is listed, but these are: %s", name, strings.Join(keys, ", "))
		}
		picked = append(picked, listed[i])
	}
	return picked, nil
}

// drain has one provider drain and says what that still had to do.
func (f *fleet) drain(ctx context.Context, p registry.Provider, out io.Writer) error {
	c, err := f.client(p)
	if err != nil {
		return err
	}
	var reply protocol.DrainReply
	err = f.ask(ctx, c, protocol.MethodDrain, &protocol.DrainRequest{}, &reply)
	switch {
	case err == nil:
	case protocol.CodeOf(err) == protocol.Unimplemented:
		return advise(fmt.Errorf("%s: %w", p.ProviderKey, err),
			"It takes no orders: set server.Option.AdminAuthorize there, or end its process with SIGTERM if it drains at that.")
	default:
		return adviseCall(fmt.Errorf("%s: %w", p.ProviderKey, err))
	}
	fmt.Fprintf(out, "%s drains: %s, %s in flight\n", p.ProviderKey,
		plural(reply.Connections-1, "other connection"), plural(reply.RequestsInFlight-1, "other request"))
	return nil
}
