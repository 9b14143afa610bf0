package dubbo

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// The defaults of Option.
const (
	DefaultRoot           = "/dubbo"
	DefaultProtocol       = "jsonrpc"
	DefaultSessionTimeout = 10 * time.Second
	DefaultPollInterval   = 30 * time.Second
	DefaultSettle         = 30 * time.Second
)

// Any stands for every protocol, group or version in an Option.
const Any = "*"

// Option says what a [Registry] lists, and where. Servers and Interface are
// needed; zero is the default of the others.
type Option struct {
	// Servers are ZooKeeper's, host:port each.
	Servers []string
	// Interface is the name of the Dubbo interface, such as
	// "com.example.UserProvider". It is the registry's AppKey too.
	Interface string
	// Group and Version are those of the interface; empty is none. As in Dubbo,
	// the version "0.0.0" is none. A registry that lists Any of either cannot
	// register.
	Group, Version string
	// Protocol is the protocol of the URLs that are listed. The default is
	// jsonrpc; Any lists all. What is registered has the protocol that is its
	// provider's Network, whatever this says.
	Protocol string
	// Application is how this process names itself to Dubbo's tools. The default
	// is the interface's name.
	Application string
	// Root is where Dubbo's interfaces stand. The default is /dubbo.
	Root string
	// Consumer is the host under which this process is listed as a consumer, for
	// as long as the registry is open. Empty: it is not.
	Consumer string

	// SessionTimeout is how long the server keeps a session whose client is gone,
	// which it bounds to 2 to 20 of its ticks. A server that is silent for two
	// thirds of it is taken for lost. The default is 10 s.
	SessionTimeout time.Duration
	// PollInterval is the time after which the list is read although nothing
	// changed. The default is 30 s.
	PollInterval time.Duration
	// Settle is how long after a new session what vanished from the list is kept.
	// The default is 30 s; a negative value believes every list at once.
	Settle time.Duration
}

// OptionError says which field of an Option cannot be used, and why.
type OptionError struct{ Field, Reason string }

// Error implements error.
func (e *OptionError) Error() string {
	return fmt.Sprintf("registry/dubbo: Option.%s %s", e.Field, e.Reason)
}

// complete returns o with its defaults.
func (o Option) complete() (Option, error) {
	o.Root = "/" + strings.Trim(cmp.Or(o.Root, DefaultRoot), "/")
	o.Protocol = cmp.Or(o.Protocol, DefaultProtocol)
	o.Application = cmp.Or(o.Application, o.Interface)
	o.SessionTimeout = cmp.Or(o.SessionTimeout, DefaultSessionTimeout)
	o.PollInterval = cmp.Or(o.PollInterval, DefaultPollInterval)
	o.Settle = cmp.Or(o.Settle, DefaultSettle)
	o.Servers = slices.Clone(o.Servers)
	return o, o.check()
}

func (o *Option) check() error {
	for _, s := range o.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return &OptionError{"Servers", fmt.Sprintf("has %q: give host:port", s)}
		}
	}
	for _, f := range []struct{ field, value string }{
		{"Root", o.Root}, {"Protocol", o.Protocol}, {"Group", o.Group}, {"Version", o.Version},
		{"Application", o.Application}, {"Consumer", o.Consumer},
	} {
		if strings.ContainsFunc(f.value, isControl) {
			return &OptionError{f.field, "has control characters"}
		}
	}
	switch {
	case len(o.Servers) == 0:
		return &OptionError{"Servers", "is empty: name ZooKeeper's servers"}
	case o.Interface == "" || o.Interface == "." || o.Interface == ".." || strings.ContainsFunc(o.Interface, isControl):
		return &OptionError{"Interface", fmt.Sprintf("is %q: give the name of the Dubbo interface", o.Interface)}
	case o.Root == "/" || strings.Contains(o.Root, "//") || strings.Contains(o.Root+"/", "/./") || strings.Contains(o.Root+"/", "/../"):
		return &OptionError{"Root", fmt.Sprintf("is %q, which is no path of ZooKeeper's", o.Root)}
	case o.SessionTimeout < 0:
		return &OptionError{"SessionTimeout", "is negative: a session without end cannot be lost, and entries would outlive their provider"}
	case o.PollInterval < 0:
		return &OptionError{"PollInterval", "is negative: without polls a change that is lost in silence would never be noticed"}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
