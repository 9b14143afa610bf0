package registry

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// Prepare is what an implementation of Register and Unregister does with its
// arguments before anything else: it compares AppKey with appKey, the
// registry's own (empty agrees with all), completes each provider, puts the
// advertised address in place, and returns copies that share nothing with ps.
// It returns an *[AppKeyError] or the first *[ProviderError].
func (o RegisterOption) Prepare(appKey string, ps ...Provider) ([]Provider, error) {
	if o.AppKey != "" && appKey != "" && o.AppKey != appKey {
		return nil, &AppKeyError{Registry: appKey, Option: o.AppKey}
	}
	out := make([]Provider, 0, len(ps))
	for _, p := range ps {
		p, err := p.Complete()
		if err != nil {
			return nil, err
		}
		if p, err = o.advertised(p); err != nil {
			return nil, err
		}
		out = append(out, p.Clone())
	}
	return out, nil
}

// advertised returns p under the address that o advertises.
func (o RegisterOption) advertised(p Provider) (Provider, error) {
	if o.Advertise == "" || p.Network == "unix" || p.Network == "mem" {
		return p, nil
	}
	if err := o.CheckAdvertise(); err != nil {
		return p, &ProviderError{ProviderKey: p.ProviderKey, Reason: err.Error()}
	}
	listened, path := cutPath(p.Addr)
	host, port, whole := splitAdvertised(o.Advertise)
	if !whole {
		var err error
		if _, port, err = net.SplitHostPort(listened); err != nil {
			return p, &ProviderError{ProviderKey: p.ProviderKey, Reason: "Addr has no port to advertise: give Advertise as host:port"}
		}
	}
	p.Addr = net.JoinHostPort(host, port) + path
	p.ProviderKey = JoinKey(p.Network, p.Addr)
	return p, nil
}

// CheckAdvertise returns an *[AdvertiseError] where Advertise is no address that
// others can dial, nil where it is or is empty. A name is not looked up.
func (o RegisterOption) CheckAdvertise() error {
	if o.Advertise == "" {
		return nil
	}
	host, port, whole := splitAdvertised(o.Advertise)
	ip, _ := netip.ParseAddr(host) // of a name it is no valid one
	number, err := strconv.Atoi(port)
	fault := ""
	switch {
	case strings.ContainsFunc(o.Advertise, foreignToAddr):
		fault = "is more than an address"
	case host == "":
		fault = "names no host, and each consumer would dial its own"
	case ip.Unmap().IsUnspecified():
		fault = "names every address, and each consumer would dial its own"
	case strings.Contains(host, ":") && !ip.IsValid():
		fault = "is neither an IPv6 address nor host:port"
	case whole && (port == "" || err == nil && (number < 1 || number > 65535)):
		fault = "names no port that can be dialled"
	}
	if fault == "" {
		return nil
	}
	return &AdvertiseError{Advertise: o.Advertise, Reason: fault}
}

// foreignToAddr reports whether r stands beside an address, and not in one: in a
// URL, a provider's key or a line of a file.
func foreignToAddr(r rune) bool { return r == '/' || r == '@' || unicode.IsSpace(r) }

// splitAdvertised takes apart what is advertised; it is whole when it has a port
// of its own.
func splitAdvertised(addr string) (host, port string, whole bool) {
	if host, port, err := net.SplitHostPort(addr); err == nil {
		return host, port, true
	}
	return strings.Trim(addr, "[]"), "", false
}

// cutPath splits the "host:port/path" of a WebSocket address before the path.
func cutPath(addr string) (hostPort, path string) {
	if i := strings.IndexByte(addr, '/'); i >= 0 {
		return addr[:i], addr[i:]
	}
	return addr, ""
}
