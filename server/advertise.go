package server

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// routeLimit bounds one look for the way to the registry, whose names may have to
// be resolved by who does not answer.
const routeLimit = 2 * time.Second

// dialable returns addr as others on this host dial it: a socket's path does not
// depend on a working directory.
func dialable(network, addr string) string {
	if network == "unix" && addr != "" && addr[0] != '@' {
		if abs, err := filepath.Abs(addr); err == nil {
			return abs
		}
	}
	return addr
}

// listening is an address that is about to be registered. It belongs to one
// goroutine.
type listening struct {
	host, port string
	wildcard   bool // host was chosen, since the listener has every address
	known      bool // the way to the registry was found, or there is none
	shared     bool // other hosts read the registry
}

// listeningOn returns what is to be found out about addr, nil where nothing is:
// it is no IP address, or RegisterOption.Advertise is to replace it anyway.
func (s *SGServer) listeningOn(network, addr string) *listening {
	host, port, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	if err != nil || ip == nil || s.option.RegisterOption.Advertise != "" {
		return nil
	}
	l := &listening{host: host, port: port, wildcard: ip.IsUnspecified()}
	if l.wildcard {
		l.host = hostAddr(network, hostInterfaces())
	}
	return l
}

func (l *listening) addr() string { return net.JoinHostPort(l.host, l.port) }

// locate finds out from where the registry is reached, and takes that where the
// listener has every address. What is known already stays.
func (s *SGServer) locate(ctx context.Context, network string, l *listening) {
	if l.known {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, routeLimit)
	defer cancel()
	var routed string
	routed, l.known = s.routes(ctx, network, s.registryAddrs())
	l.shared = routed != ""
	if l.wildcard {
		l.host = cmp.Or(routed, hostAddr(network, hostInterfaces()))
	}
}

// doubt says why consumers may not be able to dial l, and what to do; empty when
// nothing speaks against it.
func (l *listening) doubt(interfaces []hostInterface) string {
	ip := net.ParseIP(l.host)
	by := carrier(interfaces, ip)
	switch {
	case l.shared && ip.IsLoopback():
		return l.addr() + " is registered where other hosts look, and they cannot dial the loopback: listen on another address or set RegisterOption.Advertise"
	case l.shared && isContainerNet(by):
		return fmt.Sprintf("%s is registered where other hosts look, and is on %s, which only containers of this host reach: listen on another address or set RegisterOption.Advertise", l.addr(), by)
	case l.wildcard:
		return fmt.Sprintf("port %s is served on every address and registered as %s: set RegisterOption.Advertise if consumers cannot dial that", l.port, l.addr())
	}
	return ""
}

// registryAddrs returns where the registry's servers are, none for one that does
// not say.
func (s *SGServer) registryAddrs() []string {
	if located, ok := s.option.Registry.(registry.Located); ok {
		return located.Addrs()
	}
	return nil
}

// routes returns this host's address from which one of addrs is reached, empty
// when that is the loopback or not known; known is true as well where there are no
// addrs. The kernel is asked by a UDP socket, which sends nothing; a name is
// resolved first, for as long as ctx lets it.
func (s *SGServer) routes(ctx context.Context, network string, addrs []string) (routed string, known bool) {
	family := "udp"
	switch network {
	case "tcp4":
		family = "udp4"
	case "tcp6":
		family = "udp6"
	}
	known = len(addrs) == 0
	for _, addr := range addrs {
		conn, err := s.dialUDP(untilAnswered(ctx, addr), family, addr)
		if err != nil {
			continue // it may be a URL, or a name that is not known yet
		}
		known = true
		local, ok := conn.LocalAddr().(*net.UDPAddr)
		_ = conn.Close() // nothing was sent
		if ok && !local.IP.IsLoopback() && !local.IP.IsUnspecified() {
			return local.IP.String(), true
		}
	}
	return "", known
}

// untilAnswered is ctx for a name. An address is nobody's to resolve: the kernel
// answers at once, also when ctx is over.
func untilAnswered(ctx context.Context, addr string) context.Context {
	if host, _, err := net.SplitHostPort(addr); err == nil && net.ParseIP(host) != nil {
		return context.WithoutCancel(ctx)
	}
	return ctx
}
