package main

import (
	"errors"

	"github.com/sinew-rpc/sinew/client"
)

// standing is how a provider stands, in words for the table.
type standing struct {
	idc    string // its tag of that name
	state  string // what it is
	client string // what the client makes of it
}

// standingOf is what c knows of a provider.
func standingOf(c client.SGClient, key string) standing {
	for _, p := range c.Providers() {
		if p.Provider.ProviderKey == key {
			return standing{idc: p.Provider.Tags[idcTag], state: "listed", client: opinion(p)}
		}
	}
	return standing{state: "gone"}
}

// opinion is whether the client calls a provider, and why not.
func opinion(p client.ProviderStatus) string {
	var open *client.BreakerError
	switch {
	case p.State == client.Degraded:
		return p.State.String()
	case errors.As(p.Excluded, &open):
		return "breaker"
	case p.Excluded != nil && p.Provider.Tags[idcTag] == awayIDC:
		return "other idc"
	}
	return p.State.String()
}
