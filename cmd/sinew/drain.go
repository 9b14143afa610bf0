package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"
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
next is asked: where one does not within two minutes, or cannot be asked, the rest are
not, and are named. Only servers with Option.AdminAuthorize obey, and those whom it lets.`,
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

// drainAll has one drain after the other: the next when the last has left, and none
// where that is not known.
func (f *fleet) drainAll(ctx context.Context, providers []registry.Provider, out io.Writer) error {
	last := len(providers) - 1
	for i, p := range providers[:last] {
		if err := f.drainAway(ctx, p, out); err != nil {
			return advise(err, "Not asked to drain: %s.", strings.Join(keysOf(providers[i+1:]), ", "))
		}
	}
	return f.drain(ctx, providers[last], out)
}

// drainAway has p drain and waits until it has left, also where it seems to drain already.
func (f *fleet) drainAway(ctx context.Context, p registry.Provider, out io.Writer) error {
	d := &departure{asked: time.Now()}
	before, _ := f.askAnew(ctx, p) // drain fails as well, or it does not say
	err := f.drain(ctx, p, out)
	switch {
	case err == nil:
		d.ordered, d.started = true, before.Started
	case isTurnedAway(err):
		fmt.Fprintf(out, "%s takes no orders, as one that drains: waiting until it has left\n", p.ProviderKey)
	default:
		return err
	}
	return f.awaitLeave(ctx, p, d, out)
}

const (
	// leavePoll is how often one that drains is asked whether it still does.
	leavePoll = 100 * time.Millisecond
	// leaveLimit is how long one is waited for. Behind a proxy that takes connections
	// for nobody its end cannot be seen.
	leaveLimit = 2 * time.Minute
	// leaveSigns is after how many signs in a row one has left that may each deceive: a
	// packet is lost, a handshake late, a name not resolved.
	leaveSigns = 3
)

// awaitLeave waits until p, whose departure d is, has left.
func (f *fleet) awaitLeave(ctx context.Context, p registry.Provider, d *departure, out io.Writer) error {
	begun := time.Now()
	for {
		status, err := f.askAnew(ctx, p)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case d.isOver(status, err):
			return nil
		case err == nil && !status.Draining && !d.ordered: // it was full, and is not now
			if err := f.drain(ctx, p, out); err == nil {
				d.ordered, d.started = true, status.Started
			} else if !isTurnedAway(err) {
				return err
			}
		case time.Since(begun) >= leaveLimit:
			return fmt.Errorf("%s has not left within %v: %w", p.ProviderKey, leaveLimit, cmp.Or(err, errAnswers))
		}
		if err := pause(ctx, leavePoll); err != nil {
			return err
		}
	}
}

var errAnswers = errors.New("it still answers")

// departure is what is known of one that is to leave.
type departure struct {
	// ordered says that it took the order. Else it turned that away as one that drains
	// does, but also one that has no room for a connection.
	ordered bool
	asked   time.Time // when it was to take the order
	started time.Time // of its process; zero where it does not say
	drains  bool      // it said so
	signs   int       // in a row, that it has left, of those that may deceive
}

// isOver tells whether it has left, now that status and err came of asking how it is:
// nobody listens there, or another answers in its place.
func (d *departure) isOver(status protocol.ServerStatus, err error) bool {
	switch {
	case err == nil:
		d.signs = 0
		return !status.Draining && d.isAnother(status.Started)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return true
	case protocol.IsDraining(err):
		d.drains, d.signs = true, 0
	case isUndialled(err), d.ordered && d.drains && protocol.IsRemote(err): // another, which does not say
		d.signs++
	default:
		d.signs = 0
	}
	return d.signs >= leaveSigns
}

// isAnother tells whether a process that began at started, and does not drain, is not the
// one that is to leave. One that took no order may have been full.
func (d *departure) isAnother(started time.Time) bool {
	if !d.ordered {
		return started.After(d.asked)
	}
	return d.drains || !d.started.IsZero() && !started.Equal(d.started)
}

// isTurnedAway tells whether a call failed with err because its connection was let go
// before it was made, with a word or without.
func isTurnedAway(err error) bool {
	gone := protocol.CodeOf(err) == protocol.Unavailable && protocol.OutcomeOf(err) == protocol.NotSent
	return protocol.IsDraining(err) || gone && !isUndialled(err)
}

// isUndialled tells whether a call failed with err because its dial did, for want of an
// answer too.
func isUndialled(err error) bool {
	if e := (*net.OpError)(nil); errors.As(err, &e) && e.Op == "dial" {
		return true
	}
	return protocol.CodeOf(err) == protocol.DeadlineExceeded && protocol.OutcomeOf(err) == protocol.NotSent
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
	switch {
	case len(listed) == 0:
		return nil, errors.New("no provider is listed")
	case len(names) == 0 && (all || len(listed) == 1):
		return listed, nil
	case len(names) == 0:
		return nil, misused("which one? Name it, or give --all: %s", strings.Join(keysOf(listed), ", "))
	}
	picked := make([]registry.Provider, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(listed, func(p registry.Provider) bool { return p.ProviderKey == name || p.Addr == name })
		if i < 0 {
			return nil, misused("no provider %q is listed, but these are: %s", name, strings.Join(keysOf(listed), ", "))
		}
		picked = append(picked, listed[i])
	}
	return picked, nil
}

func keysOf(providers []registry.Provider) []string {
	keys := make([]string, len(providers))
	for i, p := range providers {
		keys[i] = p.ProviderKey
	}
	return keys
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
