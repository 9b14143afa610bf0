package server

import (
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
	if !ip.IsUnspecified() {
		if ip.IsLoopback() && routed != "" {
			log.Warningf("server: %s is registered where other hosts look, and they cannot dial the loopback: listen on another address or set RegisterOption.Advertise", addr)
		}
		return addr
	}
	own := routed
	if own == "" {
		own = hostAddr(network)
	}
	log.Warningf("server: %s listens on every address and is registered under %s: set RegisterOption.Advertise if consumers cannot dial that", addr, own)
	return net.JoinHostPort(own, port)
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

// hostAddr returns an address of this host that is not the loopback, of the
// family that network wants and IPv4 if both will do; the loopback if there is
// none.
func hostAddr(network string) string {
	addrs, _ := net.InterfaceAddrs() // without any, the loopback is left
	found := ""
	for _, a := range addrs {
		ipNet, ok := a.(*net.IPNet)
		if !ok || !ipNet.IP.IsGlobalUnicast() {
			continue
		}
		if four := ipNet.IP.To4() != nil; four && network != "tcp6" {
			return ipNet.IP.String()
		} else if !four && network != "tcp4" && found == "" {
			found = ipNet.IP.String()
		}
	}
	switch {
	case found != "":
		return found
	case network == "tcp6":
		return "::1"
	}
	return "127.0.0.1"
}
