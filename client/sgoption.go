package client

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// FailMode says what becomes of a call whose attempt failed.
type FailMode uint8

const (
	// FailFast makes one attempt and returns its error. An attempt that met a
	// lost connection, or a provider that is leaving, before it ran is none: the
	// call goes on to another provider. It is the default.
	FailFast FailMode = iota
	// FailOver tries again at other providers. Not in this version.
	FailOver
	// FailRetry tries again at the same provider. Not in this version.
	FailRetry
	// FailSafe logs a failure and swallows it. Not in this version.
	FailSafe
)

// String returns the mode's name.
func (m FailMode) String() string {
	switch m {
	case FailFast:
		return "FailFast"
	case FailOver:
		return "FailOver"
	case FailRetry:
		return "FailRetry"
	case FailSafe:
		return "FailSafe"
	}
	return fmt.Sprintf("FailMode(%d)", uint8(m))
}

// SGOption is what a governed client needs: an Option for the connections, and
// who is called. Registry must be set; every other zero is a default.
type SGOption struct {
	Option

	// AppKey names the application. It must agree with the registry's, where
	// that knows its own; empty agrees with all.
	AppKey string
	// Registry lists the providers. The client watches it and does not close
	// it. With Heartbeat on, a provider that vanished from the list is called
	// on while its connection answers, unless the registry says that it
	// unregistered, or said that it was draining.
	Registry registry.Registry
	// AllowLocal lets the client dial providers on unix and mem, which end at
	// the machine or the process, when they are listed by a registry that other
	// machines write too. Registries that are registry.InProcess need it not.
	AllowLocal bool

	// Selector chooses the provider of each attempt; the client uses its New.
	// The default is selector.NewRandomSelector().
	Selector selector.Selector
	// Filters must all let a provider pass.
	Filters []selector.Filter
	// Tagged makes the client choose only providers that have all of Tags, and
	// send those with every call.
	Tagged bool
	// Tags are used only if Tagged is set. Keys are [a-z0-9._-]+, values hold
	// no CR, LF or NUL.
	Tags map[string]string

	// FailMode must be FailFast in this version.
	FailMode FailMode
	// Retries counts further attempts of FailOver and FailRetry. It must not
	// be positive in this version.
	Retries int
	// CircuitBreakerThreshold is how many failures within CircuitBreakerWindow
	// keep calls from a provider. It must not be positive in this version.
	CircuitBreakerThreshold int
	// CircuitBreakerWindow is for CircuitBreakerThreshold alone.
	CircuitBreakerWindow time.Duration
}

// DefaultSGOption is a good start: heartbeats on, every other field at its
// default. Take a copy and change that; every slice, map, pointer and interface
// in it is nil, so that nothing is shared.
var DefaultSGOption = SGOption{Option: Option{
	Heartbeat:                 true,
	HeartbeatInterval:         DefaultHeartbeatInterval,
	HeartbeatDegradeThreshold: DefaultHeartbeatDegradeThreshold,
	RequestTimeout:            DefaultRequestTimeout,
	DialTimeout:               DefaultDialTimeout,
}}

// complete is Option.complete for all of o.
func (o SGOption) complete() (SGOption, error) {
	if err := o.checkGovernance(); err != nil {
		return o, err
	}
	if err := o.checkRegistry(); err != nil {
		return o, err
	}
	for i, f := range o.Filters {
		if f == nil {
			return o, &OptionError{fmt.Sprintf("Filters[%d]", i), "is nil: leave it out"}
		}
	}
	if err := protocol.CheckMeta(tagMeta(o.Tags)); err != nil {
		return o, &OptionError{"Tags", err.Error()}
	}
	option, err := o.Option.complete()
	if err != nil {
		return o, err
	}
	o.Option = option
	o.Filters = slices.Clone(o.Filters)
	o.Tags = maps.Clone(o.Tags)
	if !o.Tagged {
		o.Tags = nil
	}
	if o.Selector == nil {
		o.Selector = selector.NewRandomSelector()
	}
	if o.Selector = o.Selector.New(); o.Selector == nil {
		return o, &OptionError{"Selector", "its New returned nil"}
	}
	return o, nil
}

// checkGovernance refuses what this version does not have: no feature pretends
// to work.
func (o *SGOption) checkGovernance() error {
	switch {
	case o.FailMode > FailSafe:
		return &OptionError{"FailMode", fmt.Sprintf("%v does not exist", o.FailMode)}
	case o.FailMode != FailFast:
		return &OptionError{"FailMode", fmt.Sprintf("is %v, and this version has FailFast only", o.FailMode)}
	case o.Retries > 0:
		return &OptionError{"Retries", "is positive, and this version has FailFast only, which makes one attempt"}
	case o.CircuitBreakerThreshold > 0:
		return &OptionError{"CircuitBreakerThreshold", "is positive, and this version has no breaker: leave it 0"}
	}
	return nil
}

func (o *SGOption) checkRegistry() error {
	if o.Registry == nil {
		return &OptionError{"Registry", "is nil: set it, or call one provider with NewRPCClient"}
	}
	keyed, ok := o.Registry.(registry.AppKeyed)
	if !ok {
		return nil
	}
	if key := keyed.AppKey(); key != "" && o.AppKey != "" && key != o.AppKey {
		return &OptionError{"AppKey", fmt.Sprintf("is %q, but the registry serves %q", o.AppKey, key)}
	}
	return nil
}

// refuseProvider says why p is not called, whoever asks.
func (o *SGOption) refuseProvider(p *registry.Provider) error {
	if err := o.refuseNetwork(p.Network); err != nil {
		return err
	}
	if (p.Network == "unix" || p.Network == "mem") && !o.AllowLocal {
		if r, ok := o.Registry.(registry.InProcess); !ok || !r.InProcess() {
			return &OptionError{"AllowLocal", fmt.Sprintf("is not set, and a registry that others share lists network %q, which ends here", p.Network)}
		}
	}
	return nil
}
