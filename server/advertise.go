package server

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// reachable returns the address that others can dial: a wildcard address is
// replaced by one of this host's, unless RegisterOption.Advertise is to replace
// it anyway. It warns of what others are not likely to reach.
func (s *SGServer) reachable(network, addr string) string {
	if network == "unix" {
		if abs, err := filepath.Abs(addr); err == nil && addr[0] != '@' {
			return abs
		}
		return addr
	}
	host, port, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	if err != nil || ip == nil || s.option.RegisterOption.Advertise != "" {
		return addr
	}
	routed := routes(network, s.registryAddrs())
	interfaces := hostInterfaces()
	l := listening{host: host, port: port, wildcard: ip.IsUnspecified(), shared: routed != ""}
	if l.wildcard {
		l.host = cmp.Or(routed, hostAddr(network, interfaces))
	}
	if doubt := l.doubt(interfaces); doubt != "" {
		log.Warningf("server: %s", doubt)
	}
	return l.addr()
}

// listening is an address that is about to be registered.
type listening struct {
	host, port string
	wildcard   bool // host was chosen, since the listener has every address
	shared     bool // other hosts read the registry
}

func (l *listening) addr() string { return net.JoinHostPort(l.host, l.port) }

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
// when that is the loopback or not known. The kernel is asked by a UDP socket,
// which sends nothing.
func routes(network string, addrs []string) string {
	family := "udp"
	switch network {
	case "tcp4":
		family = "udp4"
	case "tcp6":
		family = "udp6"
	}
	for _, addr := range addrs {
		conn, err := net.Dial(family, addr)
		if err != nil {
			continue // it may be a URL, or a name that is not known yet
		}
		local, ok := conn.LocalAddr().(*net.UDPAddr)
		_ = conn.Close() // nothing was sent
		if ok && !local.IP.IsLoopback() && !local.IP.IsUnspecified() {
			return local.IP.String()
		}
	}
	return ""
}
