package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// role is what this process is to be.
type role string

const (
	roleShow   role = "demo"
	roleServer role = "demo server"
	roleClient role = "demo client"
	roleCall   role = "one call"
)

// settings is the command line, checked.
type settings struct {
	role      role
	addrs     []string // of roleServer the one it listens on, of a client those it calls
	registry  string   // where servers register and clients look, unless addrs says whom to call
	advertise string   // what roleServer registers instead of the address it listens on
	app       string
	web       string        // where the gateway listens
	file      string        // whose words are counted; empty for the demo's own text
	duration  time.Duration // of the load; 0 until told to stop
	callers   int
	timeout   time.Duration // of one call

	method, body string // of roleCall
}

const (
	defaultAddr     = "127.0.0.1:8888"
	defaultWeb      = "127.0.0.1:0"
	defaultApp      = "demo"
	defaultDuration = 8 * time.Second
	defaultCallers  = 32
	maxCallers      = 100_000
	minShow         = 100 * time.Millisecond
)

// parse reads the command line. Help goes to out; it then returns
// flag.ErrHelp. Other errors say what is wrong and where help is.
func parse(args []string, out io.Writer) (settings, error) {
	s := settings{role: roleShow, app: defaultApp}
	if len(args) > 0 && (args[0] == "server" || args[0] == "client") {
		s.role = role("demo " + args[0])
		args = args[1:]
	}
	flags, addr := s.flags(out)
	words, err := parseMixed(flags, args)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return s, err
		}
		return s, fmt.Errorf("%w; see %s", err, s.helpCommand())
	}
	if err := s.take(words, *addr); err != nil {
		return s, fmt.Errorf("%w; see %s", err, s.helpCommand())
	}
	return s, nil
}

// flags declares what the role knows.
func (s *settings) flags(out io.Writer) (*flag.FlagSet, *string) {
	flags := flag.NewFlagSet(string(s.role), flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are returned, and printed once
	flags.Usage = func() {
		fmt.Fprintln(out, usage[s.role])
		flags.SetOutput(out)
		flags.PrintDefaults()
	}
	addr := new(string)
	if s.role != roleShow {
		flags.StringVar(&s.app, "app", defaultApp, "the `name` of the application")
		flags.StringVar(&s.registry, "registry", defaultRegistry, "where servers and clients meet: a `place` such as bolt:///file, zk://host:port, etcd://host:port,\nconsul://host:port; bolt is a file of this user's")
	}
	if s.role != roleClient {
		flags.StringVar(&s.web, "web", defaultWeb, "`host:port` where the gateway takes HTTP; port 0 takes a free one")
	}
	switch s.role {
	case roleServer:
		flags.StringVar(addr, "addr", defaultAddr, "`host:port` to listen on; port 0 takes a free one, no host is every address")
		flags.StringVar(&s.advertise, "advertise", "", "`host[:port]` that clients dial, where it is not what is listened on, as in a container")
		return flags, addr
	case roleClient:
		flags.StringVar(addr, "addr", "", "the servers, `host:port[,host:port]`; without, the registry says who serves")
		flags.DurationVar(&s.timeout, "timeout", time.Second, "how long one call may take")
	}
	howLong := "how long to call"
	if s.role == roleClient {
		howLong += "; 0 until Ctrl-C"
	}
	flags.DurationVar(&s.duration, "duration", defaultDuration, howLong)
	flags.IntVar(&s.callers, "callers", defaultCallers, "how many goroutines call")
	flags.StringVar(&s.file, "file", "", "a UTF-8 text `file` to count the words of (default the third book of Newton's Opticks)")
	return flags, addr
}

// parseMixed lets flags stand before, between and after the other words, which
// it returns.
func parseMixed(flags *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words = append(words, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// take checks what the flags said and takes the words besides them.
func (s *settings) take(words []string, addr string) (err error) {
	if s.role == roleServer || addr != "" {
		if s.addrs, err = splitAddrs(addr); err != nil {
			return err
		}
	}
	if s.role != roleShow {
		if _, err = parseRegistry(s.registry); err != nil {
			return err
		}
	}
	switch {
	case s.web != "" && !isHostPort(s.web):
		return fmt.Errorf("-web: %q is no host:port, such as %s", s.web, defaultWeb)
	case s.role == roleServer && len(s.addrs) > 1:
		return fmt.Errorf("-addr: a server listens on one address, not on %q", addr)
	case registry.RegisterOption{Advertise: s.advertise}.CheckAdvertise() != nil:
		return fmt.Errorf("-advertise: %q is no host[:port] that clients can dial, such as 10.0.0.7 or 10.0.0.7:9000", s.advertise)
	case s.duration < 0:
		return fmt.Errorf("-duration must not be negative")
	case s.role == roleShow && s.duration < minShow:
		return fmt.Errorf("-duration must be at least %v", minShow)
	case s.role != roleServer && (s.callers < 1 || s.callers > maxCallers):
		return fmt.Errorf("-callers must be from 1 to %d", maxCallers)
	case s.role == roleClient && s.timeout <= 0:
		return fmt.Errorf("-timeout must be positive")
	case s.role == roleClient && len(words) > 0:
		return s.takeCall(words)
	case len(words) > 0:
		return fmt.Errorf("%q is not understood", words[0])
	}
	return nil
}

// takeCall takes Type.Method and a JSON body.
func (s *settings) takeCall(words []string) error {
	if len(words) > 2 {
		return fmt.Errorf("a call is a method and one JSON body, not %d words: put the body in single quotes", len(words))
	}
	s.role, s.method, s.body = roleCall, words[0], "{}"
	if dot := strings.LastIndexByte(s.method, '.'); dot < 1 || dot == len(s.method)-1 {
		return fmt.Errorf("%q names no method: write Type.Method, such as ArithService.Add", s.method)
	}
	if len(words) == 2 {
		s.body = words[1]
	}
	var parsed json.RawMessage
	if err := json.Unmarshal([]byte(s.body), &parsed); err != nil {
		return fmt.Errorf(`the body %.128q is no JSON (%w): write such as '{"A":1,"B":2}', in single quotes`, s.body, err)
	}
	return nil
}

func splitAddrs(list string) ([]string, error) {
	var addrs []string
	for addr := range strings.SplitSeq(list, ",") {
		addr = strings.TrimSpace(addr)
		if !isHostPort(addr) {
			return nil, fmt.Errorf("-addr: %q is no host:port, such as %s", addr, defaultAddr)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

func isHostPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != ""
}
