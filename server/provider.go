package server

import (
	"fmt"
	"maps"
	"net"
	"strconv"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

// provider describes what is served on ln.
func (s *SGServer) provider(ln net.Listener, network string, meta map[string]string) (registry.Provider, error) {
	p := registry.Provider{
		Network: network,
		Addr:    dialable(network, ln.Addr().String()),
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
	p.ProviderKey = registry.JoinKey(p.Network, p.Addr)
	return p, nil
}
