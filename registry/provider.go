package registry

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Provider is one process that serves an application at one address. It is a
// value: who keeps one keeps a [Provider.Clone], and nobody writes into a map
// or slice that was shared.
type Provider struct {
	// ProviderKey is "<network>@<addr>" (see [JoinKey]) and identifies the
	// provider within its application. Empty, it is made of Network and Addr;
	// if it is set and they are empty, they are taken from it.
	ProviderKey string
	// Network decides the transport that a consumer dials with: tcp, tcp4,
	// tcp6, tls, unix, ws, wss or mem.
	Network string
	// Addr is what is dialled, in the form of that network.
	Addr string

	// Tags describe the provider ("idc": "lf"). Clients with tags call only
	// providers that have all of them with the same values.
	Tags map[string]string
	// Weight is the share of calls relative to other providers, for selectors
	// that weigh. Zero is the default, 1; a negative value asks for no calls
	// as long as another provider is there.
	Weight int
	// Version is the application's version, in any form.
	Version string
	// Draining says that the provider is about to leave: it answers what it
	// has and should be given nothing new.
	Draining bool
	// Started is when this instance began to serve. It tells an instance from
	// its predecessor on the same address; registries keep it to the
	// millisecond or better.
	Started time.Time
	// Services is what the provider serves.
	Services []Service
}

// Service is a named set of methods. Its fields are those of
// protocol.ServiceInfo, one for one.
type Service struct {
	Name    string
	Methods []Method
}

// Method is the signature of one method: the names of the Go types that it
// takes and returns, such as "arith.AddRequest".
type Method struct {
	Name     string
	Request  string
	Response string
	// RequestSchema and ResponseSchema describe the two types in JSON Schema.
	// Empty where that is not known.
	RequestSchema  string `json:",omitempty"`
	ResponseSchema string `json:",omitempty"`
}

// Clone returns a copy that shares nothing with p.
func (p Provider) Clone() Provider {
	p.Tags = maps.Clone(p.Tags)
	p.Services = slices.Clone(p.Services)
	for i := range p.Services {
		p.Services[i].Methods = slices.Clone(p.Services[i].Methods)
	}
	return p
}

// Equal reports whether p and q say the same. Times are compared as instants;
// nil and empty maps or slices are equal.
func (p Provider) Equal(q Provider) bool {
	return p.ProviderKey == q.ProviderKey &&
		p.Network == q.Network &&
		p.Addr == q.Addr &&
		p.Weight == q.Weight &&
		p.Version == q.Version &&
		p.Draining == q.Draining &&
		p.Started.Equal(q.Started) &&
		maps.Equal(p.Tags, q.Tags) &&
		slices.EqualFunc(p.Services, q.Services, equalServices)
}

func equalServices(s, t Service) bool {
	return s.Name == t.Name && slices.Equal(s.Methods, t.Methods)
}

// Supersedes reports whether p stands for another instance than q on the same
// address, so that an Unregister of q must leave p alone: both know when they
// Started, and differ by a millisecond or more.
func (p Provider) Supersedes(q Provider) bool {
	if p.Started.IsZero() || q.Started.IsZero() {
		return false
	}
	return p.Started.UnixMilli() != q.Started.UnixMilli()
}

// Complete returns p with ProviderKey made of Network and Addr, or the other
// way round. It returns a *[ProviderError] when they contradict each other or
// say too little.
func (p Provider) Complete() (Provider, error) {
	if p.Network == "" && p.Addr == "" {
		network, addr, err := SplitKey(p.ProviderKey)
		if err != nil {
			return p, err
		}
		p.Network, p.Addr = network, addr
		return p, nil
	}
	switch key := JoinKey(p.Network, p.Addr); {
	case p.Network == "":
		return p, &ProviderError{ProviderKey: key, Reason: "Network is empty: set it to tcp, tls, unix, ws, wss or mem"}
	case p.Addr == "":
		return p, &ProviderError{ProviderKey: key, Reason: "Addr is empty: set it to what consumers dial"}
	case strings.Contains(p.Network, keySeparator):
		return p, &ProviderError{ProviderKey: key, Reason: "Network contains an @: that ends the network in a key"}
	case p.ProviderKey == "":
		p.ProviderKey = key
	case p.ProviderKey != key:
		return p, &ProviderError{ProviderKey: p.ProviderKey, Reason: "Network and Addr say " + key + ": leave ProviderKey empty or make them agree"}
	}
	return p, nil
}

// cloneAll returns deep copies of ps, never nil.
func cloneAll(ps []Provider) []Provider {
	out := make([]Provider, len(ps))
	for i, p := range ps {
		out[i] = p.Clone()
	}
	return out
}
