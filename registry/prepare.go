package registry

import (
	"net"
	"strings"
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
	listened, path := cutPath(p.Addr)
	addr := o.Advertise
	if _, _, err := net.SplitHostPort(addr); err != nil {
		_, port, err := net.SplitHostPort(listened)
		if err != nil {
			return p, &ProviderError{ProviderKey: p.ProviderKey, Reason: "Addr has no port to advertise: give Advertise as host:port"}
		}
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), port)
	}
	p.Addr = addr + path
	p.ProviderKey = JoinKey(p.Network, p.Addr)
	return p, nil
}

// cutPath splits the "host:port/path" of a WebSocket address before the path.
func cutPath(addr string) (hostPort, path string) {
	if i := strings.IndexByte(addr, '/'); i >= 0 {
		return addr[:i], addr[i:]
	}
	return addr, ""
}
