package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/internal/registryurl"
)

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

// Error says what is wrong and where help is.
func (e *usageError) Error() string { return e.err.Error() }

// Unwrap returns what is wrong.
func (e *usageError) Unwrap() error { return e.err }

// misused says what is wrong with a command line.
func misused(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// newRoot makes the command that all others are part of.
func newRoot() *cobra.Command {
	t := new(target)
	verbose := false
	root := &cobra.Command{
		Use:   "sinew",
		Short: "Looks into services that speak sinew, and calls them",
		Long: `Looks into services that speak sinew, and calls them: one by its address, or an
application by its registry. The flags --addr, --registry, --app and --auth may
stand in the environment, as SINEW_ADDR, SINEW_REGISTRY, SINEW_APP and SINEW_AUTH;
a flag that is given counts for more, and --registry for more than SINEW_ADDR.`,
		Version:       version(),
		Args:          knownCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if verbose {
				log.SetHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
			} else {
				log.SetHandler(slog.DiscardHandler)
			}
			return t.settle(c.Flags().Changed)
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return misused("%w; see %s --help", err, c.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringSliceVarP(&t.addrs, "addr", "a", environList("SINEW_ADDR"), "providers: host:port, of tcp, or of tls with --ca and its like; or network@address such as wss@api.example.com/rpc")
	flags.StringVarP(&t.registry, "registry", "r", os.Getenv("SINEW_REGISTRY"), "where providers are listed: "+registryurl.Forms)
	flags.StringVar(&t.app, "app", os.Getenv("SINEW_APP"), "the application, where the registry has several")
	flags.StringVar(&t.path, "path", "/sinew/service", "where the registry keeps applications")
	flags.StringVar(&t.auth, "auth", "", "what to authenticate with") // its default is no text for help
	flags.StringToStringVar(&t.tags, "tag", nil, "tags that providers must have and requests carry: key=value")
	flags.DurationVar(&t.timeout, "timeout", 3*time.Second, "how long one call may take")
	flags.StringVar(&t.tls.ca, "ca", "", "PEM file of the authorities to trust; the default is the system's")
	flags.StringVar(&t.tls.cert, "cert", "", "PEM file of this client's certificate")
	flags.StringVar(&t.tls.key, "key", "", "PEM file of its key")
	flags.StringVar(&t.tls.serverName, "server-name", "", "the name to verify, where it is not the address's")
	flags.BoolVarP(&verbose, "verbose", "v", false, "tell on stderr what goes on below")
	root.AddCommand(newCall(t), newLs(t), newPing(t), newWatch(t), newBench(t), newDrain(t))
	return root
}

// knownCommand refuses what is no command, and says what may have been meant.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return misused("there is no command %q: do you mean %s?", args[0], strings.Join(near, " or "))
	}
	return misused("there is no command %q; see %s help", args[0], c.CommandPath())
}

// version is that of the module which this program was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// atMost refuses more words than a command takes.
func atMost(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return misused("%q is one word too many: %s takes %s", args[n], c.CommandPath(), what)
		}
		return nil
	}
}
