package prometheus

import (
	"errors"
	"strings"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/sinew-rpc/sinew/client"
)

// clientCollector reads client.Stats and client.ProviderStatus.
type clientCollector struct {
	metrics
	client client.SGClient

	calls, attempts, swallowed, retries, moves     emit
	hedges, hedgeWins, budgetRefused, budgetLeft   emit
	providers, excluded, breakers                  emit
	connected, degraded, tripped, providerExcluded emit
	connections, read, written                     emit
}

// NewClientCollector returns a Collector that reads c when it is scraped, to be
// registered by the caller, and to be unregistered when the client is closed. A
// nil option is a zero one. The error names what cannot be used.
//
//	sinew_client_governed_calls_total
//	sinew_client_governed_attempts_total
//	sinew_client_swallowed_failures_total
//	sinew_client_retries_total
//	sinew_client_moves_total
//	sinew_client_hedges_total
//	sinew_client_hedge_wins_total
//	sinew_client_retry_budget_refused_total
//	sinew_client_retry_budget_left            absent where there is no budget
//	sinew_client_connections
//	sinew_client_read_bytes_total
//	sinew_client_written_bytes_total
//	sinew_client_providers{state}             how many are in each state
//	sinew_client_providers_by_breaker{breaker}   how many breakers are in each state
//	sinew_client_providers_excluded              how many calls do not go to
//	sinew_client_provider_connected{provider}    1 or 0, with PerProvider, as the rest
//	sinew_client_provider_degraded{provider}
//	sinew_client_provider_breaker_open{provider} 1 while it is half-open too
//	sinew_client_provider_excluded{provider}
//
// state is that of client.State, breaker that of client.BreakerState.
func NewClientCollector(c client.SGClient, option *Option) (prom.Collector, error) {
	if c == nil {
		return nil, errors.New("prometheus: the client is nil")
	}
	own := []string{"state", "breaker"}
	if option != nil && option.PerProvider {
		own = append(own, "provider")
	}
	o, err := option.complete(own...)
	if err != nil {
		return nil, err
	}
	m := &clientCollector{metrics: metrics{option: o, subsystem: "client"}, client: c}
	m.calls = m.counter("governed_calls_total", "The calls that passed the wrappers.")
	m.attempts = m.counter("governed_attempts_total", "The attempts that were given to a provider.")
	m.swallowed = m.counter("swallowed_failures_total", "The failures that FailSafe kept from the caller.")
	m.retries = m.counter("retries_total", "The further attempts after one that failed.")
	m.moves = m.counter("moves_total", "The attempts that met a provider which was gone or leaving.")
	m.hedges = m.counter("hedges_total", "The attempts beside one that was slow.")
	m.hedgeWins = m.counter("hedge_wins_total", "The hedges that answered first.")
	m.budgetRefused = m.counter("retry_budget_refused_total", "The retries and hedges that the budget did not allow.")
	m.budgetLeft = m.gauge("retry_budget_left", "The retries and hedges that the budget allows now.")
	m.connections = m.gauge("connections", "The connections that are open, those included that are being drained.")
	m.read = m.counter("read_bytes_total", "The bytes of frames that arrived.")
	m.written = m.counter("written_bytes_total", "The bytes of frames that were sent.")
	m.providers = m.gauge("providers", "The providers that are listed, by how the client stands with them.", "state")
	m.breakers = m.gauge("providers_by_breaker", "The providers that are listed, by the state of their breaker.", "breaker")
	m.excluded = m.gauge("providers_excluded", "The providers that calls do not go to.")
	if o.PerProvider {
		m.connected = m.gauge("provider_connected", "1 while there is a connection to the provider, else 0.", "provider")
		m.degraded = m.gauge("provider_degraded", "1 while the provider answers no heartbeats, else 0.", "provider")
		m.tripped = m.gauge("provider_breaker_open", "1 while the provider's breaker is open or half-open, else 0.", "provider")
		m.providerExcluded = m.gauge("provider_excluded", "1 while calls do not go to the provider, else 0.", "provider")
	}
	return m, nil
}

// Collect implements the Collector of client_golang.
func (c *clientCollector) Collect(ch chan<- prom.Metric) {
	s := c.client.Stats()
	c.calls(ch, float64(s.Calls))
	c.attempts(ch, float64(s.Attempts))
	c.swallowed(ch, float64(s.Swallowed))
	c.retries(ch, float64(s.Retries))
	c.moves(ch, float64(s.Moves))
	c.hedges(ch, float64(s.Hedges))
	c.hedgeWins(ch, float64(s.HedgeWins))
	c.budgetRefused(ch, float64(s.BudgetRefused))
	if s.BudgetLeft >= 0 {
		c.budgetLeft(ch, float64(s.BudgetLeft))
	}
	c.connections(ch, float64(s.Connections))
	c.read(ch, float64(s.BytesRead))
	c.written(ch, float64(s.BytesWritten))
	c.states(ch, c.client.Providers())
}

// states shows the providers.
func (c *clientCollector) states(ch chan<- prom.Metric, list []client.ProviderStatus) {
	count := make(map[client.State]int)
	breakers := make(map[client.BreakerState]int)
	excluded := 0
	for i, p := range list {
		count[p.State]++
		breakers[p.Breaker]++
		if p.Excluded != nil {
			excluded++
		}
		if c.option.PerProvider && (c.option.MaxProviders < 0 || i < c.option.MaxProviders) {
			key := label(p.Provider.ProviderKey)
			c.connected(ch, oneIf(p.State == client.Connected), key)
			c.degraded(ch, oneIf(p.State == client.Degraded), key)
			c.tripped(ch, oneIf(p.Breaker != client.BreakerClosed), key)
			c.providerExcluded(ch, oneIf(p.Excluded != nil), key)
		}
	}
	for _, state := range states() {
		c.providers(ch, float64(count[state]), state.String())
	}
	for _, state := range []client.BreakerState{client.BreakerClosed, client.BreakerOpen, client.BreakerHalfOpen} {
		c.breakers(ch, float64(breakers[state]), state.String())
	}
	c.excluded(ch, float64(excluded))
}

// states returns every client.State, whether or not a provider is in it: a series
// that comes and goes is hard to alert on.
func states() (all []client.State) {
	for s := client.Idle; !strings.HasPrefix(s.String(), "State("); s++ {
		all = append(all, s)
	}
	return all
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
