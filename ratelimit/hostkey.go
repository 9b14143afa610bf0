package ratelimit

import (
	"net"
	"net/netip"
)

// siteBits is how much of an IPv6 address tells one client from another: whoever has
// an address has all that differ from it in the rest.
const siteBits = 64

// HostKey returns the key under which to limit who calls from addr, as "host:port" or
// a host alone: its host, and the network of 64 bits that it is in where that is an
// IPv6 address, such as "2001:db8:1:2::/64". An address that counts within a network
// alone (unique local, link-local, loopback) is a key of its own, and an IPv4 address
// in the form of IPv6 is that IPv4 address.
func HostKey(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr // without a port
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil || ip.Is4():
		return host
	case ip.Is4In6():
		return ip.Unmap().String()
	case ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLoopback():
		return host
	}
	site, _ := ip.Prefix(siteBits) // fails for more bits than there are
	return site.String()
}
