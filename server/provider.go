package server

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// provider describes what is served on ln.
func (s *SGServer) provider(ln net.Listener, network string, meta map[string]string) (registry.Provider, error) {
	p := registry.Provider{
		Network: network,
		Addr:    ln.Addr().String(),
		Tags:    maps.Clone(s.option.Tags),
		Version: meta["version"],
		Started: time.Now(),
	}
	if w := meta["weight"]; w != "" {
		weight, err := strconv.Atoi(w)
		if err != nil {
			return p, fmt.Errorf(`server: meta["weight"] %q is no number`, w)
		}
		p.Weight = weight
	}
	if s.option.Registry != nil {
		p.Addr = s.reachable(network, p.Addr)
	}
	p.ProviderKey = registry.JoinKey(p.Network, p.Addr)
	return p, nil
}

// reachable returns the address that others can dial: a wildcard address is
// replaced by one of this host's, unless RegisterOption.Advertise is to replace
// it anyway.
func (s *SGServer) reachable(network, addr string) string {
	if network == "unix" {
		if abs, err := filepath.Abs(addr); err == nil && addr[0] != '@' {
			return abs
		}
		return addr
	}
	host, port, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	if err != nil || ip == nil || !ip.IsUnspecified() || s.option.RegisterOption.Advertise != "" {
		return addr
	}
	own := hostAddr(network)
	log.Warningf("server: %s listens on every address and is registered under %s: set RegisterOption.Advertise if consumers cannot dial that", addr, own)
	return net.JoinHostPort(own, port)
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
