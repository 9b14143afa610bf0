package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

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
as "sinew ls" names it; --addr names it already. Only servers with
Option.AdminAuthorize obey, and those whom it lets.`,
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
	var failed error
	for _, p := range providers {
		if err := f.drain(ctx, p, out); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
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
