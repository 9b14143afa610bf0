package client

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/selector"
)

// What zero stands for in an SGOption.
const (
	DefaultRetries         = 2
	DefaultRetryBackoff    = 10 * time.Millisecond
	DefaultRetryBackoffMax = time.Second
	DefaultRetryBudget     = 0.2
	DefaultRetryBudgetMin  = 10
)

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

	// FailMode says what becomes of a call whose attempt failed. The default is
	// FailFast.
	FailMode FailMode
	// Retries is how many further attempts FailOver and FailRetry make. The
	// default is 2; negative is none. It must not be positive for the others,
	// which make one attempt.
	Retries int
	// RetryBackoff is the longest pause before the first retry of a call; it
	// doubles with each further one up to RetryBackoffMax. Half of each pause
	// is left to chance. The default is 10 ms; negative waits only where a
	// provider asks for it.
	RetryBackoff time.Duration
	// RetryBackoffMax is the longest pause. The default, also for a negative
	// value, is 1 s; at least RetryBackoff.
	RetryBackoffMax time.Duration
	// RetryBudget is which share of the client's calls of the last ten seconds
	// its retries and hedges may be, all calls together. The default is 0.2;
	// negative is no bound.
	RetryBudget float64
	// RetryBudgetMin is how many retries and hedges ten seconds allow however
	// few the calls are. The default is 10; negative is none.
	RetryBudgetMin int
	// AttemptTimeout bounds one attempt, within what is left of the call. The
	// default, for a call that is idempotent, is what is left divided by the
	// attempts that are left, so that the last has as much time as the first;
	// for others, which are not tried again once they may have run, it is all
	// that is left. Negative is always that.
	AttemptTimeout time.Duration
	// Idempotent names methods that may run more than once without harm, as
	// "Service.Method", "Service.*" or "*". A call can say it too, see the
	// function Idempotent.
	Idempotent []string
	// Hedged names methods, as Idempotent does, of which a second attempt is
	// made at another provider when the first is slow; the first answer counts
	// and the other attempt is cancelled. That implies Idempotent. A call can
	// ask for it too, see the function Hedge. It is for FailOver and FailRetry.
	Hedged []string
	// HedgeDelay is when the first attempt is slow. The default, also for a
	// negative value, is the time that 95 % of the method's answers took at
	// most in the last half minute, to within an eighth; as long as there were
	// fewer than 20 of them no attempt is slow. An attempt that was slow and got
	// no answer counts for the delay that it had.
	HedgeDelay time.Duration

	// CircuitBreakerThreshold is how many failures of one provider within
	// CircuitBreakerWindow keep calls from it. Failures are what speaks of its
	// health: deadlines that passed, Unavailable, and ResourceExhausted of an
	// overloaded provider; not what never left (connections have pauses of
	// their own), nor a refusal that says when to come back, as those of a rate
	// limit and of a method's breaker do, nor the caller's mistake or
	// cancellation. A deadline counts where the provider had 50 ms, or half of
	// what RequestTimeout or AttemptTimeout give each attempt where that is
	// less. It counts failures and not their part of the calls: set it to what
	// the calls of a window may well bring. Where the breakers of all providers
	// are open, calls fail with a *BreakerError as cause, and RetryAfter. The
	// default, also for a negative value, is no breaker; at most 1,048,576.
	CircuitBreakerThreshold int
	// CircuitBreakerWindow is how long a failure counts, and how long a breaker
	// stays open before one call, the probe, decides. The default, also for a
	// negative value, is 1 s.
	CircuitBreakerWindow time.Duration
	// SlowStart is how long the share of calls of a provider that has just
	// started grows, from a tenth to all of it; see selector.Node.Warmth. The
	// default, also for a negative value, is not at all: it has its full share
	// at once.
	SlowStart time.Duration
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
	o.completeRetries()
	o.CircuitBreakerWindow = positive(o.CircuitBreakerWindow, DefaultCircuitBreakerWindow)
	o.SlowStart = max(0, o.SlowStart)
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

// completeRetries replaces the zeros of what governs further attempts.
func (o *SGOption) completeRetries() {
	if o.FailMode.persists() {
		o.Retries = max(0, cmp.Or(o.Retries, DefaultRetries))
	} else {
		o.Retries = 0
	}
	o.RetryBackoff = max(0, cmp.Or(o.RetryBackoff, DefaultRetryBackoff))
	o.RetryBackoffMax = positive(o.RetryBackoffMax, DefaultRetryBackoffMax)
	o.RetryBudget = cmp.Or(o.RetryBudget, DefaultRetryBudget)
	o.RetryBudgetMin = max(0, cmp.Or(o.RetryBudgetMin, DefaultRetryBudgetMin))
	o.Idempotent, o.Hedged = slices.Clone(o.Idempotent), slices.Clone(o.Hedged)
}

// checkGovernance refuses what this version does not have: no feature pretends
// to work.
func (o *SGOption) checkGovernance() error {
	switch {
	case o.FailMode > FailSafe:
		return &OptionError{"FailMode", fmt.Sprintf("%v does not exist", o.FailMode)}
	case o.Retries > 0 && !o.FailMode.persists():
		return &OptionError{"Retries", fmt.Sprintf("is positive, and %v makes one attempt: set FailMode to FailOver or FailRetry", o.FailMode)}
	case len(o.Hedged) > 0 && !o.FailMode.persists():
		return &OptionError{"Hedged", fmt.Sprintf("is set, and %v makes one attempt: set FailMode to FailOver or FailRetry", o.FailMode)}
	case o.RetryBudget != o.RetryBudget:
		return &OptionError{"RetryBudget", "is not a number"}
	case o.CircuitBreakerThreshold > maxBreakerThreshold:
		return &OptionError{"CircuitBreakerThreshold", fmt.Sprintf("is %d, and at most %d: leave it 0 for no breaker", o.CircuitBreakerThreshold, maxBreakerThreshold)}
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
