package prometheus_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
	"github.com/sinew-rpc/sinew/wrapper/prometheus"
)

type Word struct{ Text string }

type Words struct{}

func (Words) Echo(_ context.Context, req, res *Word) error {
	time.Sleep(3 * time.Millisecond)
	*res = *req
	return nil
}

// Sulk has its provider's breaker opened.
func (Words) Sulk(context.Context, *Word, *Word) error {
	return protocol.NewError(protocol.Unavailable, "not now")
}

func (Words) Fail(context.Context, *Word, *Word) error { return errors.New("out of paper") }

// scrape returns what Prometheus would read, line by line, without comments.
func scrape(t *testing.T, r *prom.Registry) []string {
	t.Helper()
	answer := httptest.NewRecorder()
	handler := promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})
	handler.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if answer.Code != 200 {
		t.Fatalf("scraping: %d\n%s", answer.Code, answer.Body)
	}
	lines := strings.Split(answer.Body.String(), "\n")
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" || l[0] == '#' })
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if slices.Contains(got, line) {
			continue
		}
		name, _, _ := strings.Cut(strings.Fields(line)[0], "{")
		same := slices.DeleteFunc(slices.Clone(got), func(l string) bool { return !strings.HasPrefix(l, name) })
		t.Errorf("%s is not there; of this name are\n%s", line, strings.Join(same, "\n"))
	}
}

// system is a server of Words and a governed client of it, which one registry
// of metrics shows.
type system struct {
	server  *server.SGServer
	client  client.SGClient
	network *transport.MemNetwork
	metrics *prom.Registry
}

func start(t *testing.T, option *prometheus.Option, attempts bool, change ...func(*client.SGOption)) *system {
	t.Helper()
	recorder, err := prometheus.NewRecorder(option)
	if err != nil {
		t.Fatal(err)
	}
	measured := &wrapper.Metrics{Recorder: recorder}
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Mem: network, Wrappers: []server.Wrapper{measured}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(Words{}); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("mem", "words", nil) }()
	<-s.Listening()
	op := client.DefaultSGOption
	op.Mem, op.AllowLocal = network, true
	op.Registry = registry.NewPeer2PeerRegistry().WithProvider(registry.Provider{ProviderKey: "mem@words", Network: "mem", Addr: "words"})
	op.Wrappers = []client.Wrapper{measured}
	if attempts {
		op.Wrappers = append(op.Wrappers, &wrapper.AttemptMetrics{Recorder: recorder, PerProvider: true})
	}
	for _, f := range change {
		f(&op)
	}
	c, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = s.Close()
		if err := <-served; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	})
	metrics := prom.NewPedanticRegistry()
	ofServer, err := prometheus.NewServerCollector(s, option)
	if err != nil {
		t.Fatal(err)
	}
	ofClient, err := prometheus.NewClientCollector(c, option)
	if err != nil {
		t.Fatal(err)
	}
	metrics.MustRegister(recorder, ofServer, ofClient)
	return &system{s, c, network, metrics}
}

func (s *system) call(t *testing.T, method string) error {
	var res Word
	return s.client.Call(t.Context(), "Words."+method, &Word{"x"}, &res)
}

func TestBothSidesAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &prometheus.Option{PerProvider: true}, true)
		for range 3 {
			if err := s.call(t, "Echo"); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.call(t, "Fail")
		_ = s.call(t, "Nothing")
		synctest.Wait()
		got := scrape(t, s.metrics)
		want(t, got,
			`sinew_client_calls_total{code="OK",method="Echo",service="Words"} 3`,
			`sinew_client_calls_total{code="Unknown",method="Fail",service="Words"} 1`,
			`sinew_client_calls_total{code="Unimplemented",method="other",service="other"} 1`,
			`sinew_client_calls_in_flight 0`,
			`sinew_client_call_duration_seconds_bucket{method="Echo",service="Words",le="0.0025"} 0`,
			`sinew_client_call_duration_seconds_bucket{method="Echo",service="Words",le="0.005"} 3`,
			`sinew_client_attempts_total{code="OK",method="Echo",provider="mem@words",service="Words"} 3`,
			`sinew_server_requests_total{code="OK",method="Echo",service="Words"} 3`,
			`sinew_server_requests_total{code="Unknown",method="Fail",service="Words"} 1`,
			`sinew_server_request_duration_seconds_count{method="Echo",service="Words"} 3`,
			`sinew_server_connections 1`,
			`sinew_server_connections_accepted_total 1`,
			`sinew_server_admitted_requests_total 4`,
			`sinew_server_refused_total{reason="unknown"} 1`,
			`sinew_server_refused_total{reason="admission"} 0`,
			`sinew_server_registered 0`,
			`sinew_client_governed_calls_total 5`,
			`sinew_client_governed_attempts_total 5`,
			`sinew_client_connections 1`,
			`sinew_client_providers{state="connected"} 1`,
			`sinew_client_providers{state="idle"} 0`,
			`sinew_client_provider_connected{provider="mem@words"} 1`,
			`sinew_client_provider_excluded{provider="mem@words"} 0`,
		)
		for _, line := range got {
			if strings.Contains(line, "Nothing") {
				t.Errorf("a method that nobody provides has a series: %s", line)
			}
		}
	})
}

// What governs calls is seen as it happens: retries and their budget, a breaker
// that opens and closes, a provider that is degraded and recovers.
func TestTroublesAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &prometheus.Option{PerProvider: true}, false, func(op *client.SGOption) {
			op.FailMode, op.Retries = client.FailRetry, 2
			op.CircuitBreakerThreshold, op.CircuitBreakerWindow = 3, time.Second
			op.Heartbeat, op.HeartbeatInterval, op.HeartbeatDegradeThreshold = true, time.Second, 2
			op.RequestTimeout = time.Minute
		})
		ctx := client.With(t.Context(), client.Idempotent())
		var res Word
		if err := s.client.Call(ctx, "Words.Sulk", &Word{}, &res); err == nil {
			t.Fatal("no error")
		}
		synctest.Wait()
		want(t, scrape(t, s.metrics),
			`sinew_client_governed_calls_total 1`,
			`sinew_client_governed_attempts_total 3`,
			`sinew_client_retries_total 2`,
			`sinew_client_retry_budget_left 8`,
			`sinew_client_providers_by_breaker{breaker="open"} 1`,
			`sinew_client_provider_breaker_open{provider="mem@words"} 1`,
			`sinew_client_provider_excluded{provider="mem@words"} 1`,
			`sinew_client_providers_excluded 1`,
		)
		time.Sleep(time.Second)
		if err := s.call(t, "Echo"); err != nil { // the probe
			t.Fatal(err)
		}
		synctest.Wait() // the list of who is chosen from is made anew
		want(t, scrape(t, s.metrics),
			`sinew_client_providers_by_breaker{breaker="closed"} 1`,
			`sinew_client_providers_by_breaker{breaker="open"} 0`,
			`sinew_client_provider_breaker_open{provider="mem@words"} 0`,
			`sinew_client_providers_excluded 0`,
		)
		s.network.SetFaults(transport.BothWays(transport.MemPath{Blackhole: true}))
		time.Sleep(4 * time.Second)
		want(t, scrape(t, s.metrics),
			`sinew_client_providers{state="degraded"} 1`,
			`sinew_client_providers{state="connected"} 0`,
			`sinew_client_provider_degraded{provider="mem@words"} 1`,
		)
		s.network.SetFaults(transport.MemFaults{})
		time.Sleep(2 * time.Second)
		want(t, scrape(t, s.metrics),
			`sinew_client_providers{state="degraded"} 0`,
			`sinew_client_providers{state="connected"} 1`,
			`sinew_client_provider_degraded{provider="mem@words"} 0`,
		)
	})
}

// TestSeriesStayFew calls many names that nobody provides, and counts what a
// scrape brings before and after.
func TestSeriesStayFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil, true)
		_ = s.call(t, "Echo")
		_ = s.call(t, "Nothing")
		synctest.Wait()
		before := len(scrape(t, s.metrics))
		for i := range 200 {
			_ = s.call(t, "Nothing"+strings.Repeat("x", i))
		}
		synctest.Wait()
		if after := len(scrape(t, s.metrics)); after != before {
			t.Errorf("%d lines became %d", before, after)
		}
	})
}

func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil, false)
		done := make(chan error, 1)
		go func() { done <- s.call(t, "Echo") }()
		synctest.Wait()
		want(t, scrape(t, s.metrics), `sinew_client_calls_in_flight 1`, `sinew_server_requests_in_flight 1`, `sinew_server_admitted_requests 1`)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// Names that are no text show as such, and do not break the scrape.
func TestNamesThatAreNoText(t *testing.T) {
	r, err := prometheus.NewRecorder(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Meter(wrapper.Series{Service: "A\xff", Method: "B"}).Measured(protocol.OK, time.Millisecond)
	metrics := prom.NewPedanticRegistry()
	metrics.MustRegister(r)
	want(t, scrape(t, metrics), `sinew_client_calls_total{code="OK",method="B",service="A�"} 1`)
}

func TestOptions(t *testing.T) {
	for name, test := range map[string]struct {
		option prometheus.Option
		names  string // in the error; empty: none
	}{
		"zero":                 {prometheus.Option{}, ""},
		"native histograms":    {prometheus.Option{NativeBucketFactor: 1.1}, ""},
		"labels":               {prometheus.Option{Namespace: "shop", Labels: prom.Labels{"app": "till"}}, ""},
		"buckets out of order": {prometheus.Option{Buckets: []float64{1, 1}}, "Option.Buckets[1]"},
		"a factor too small":   {prometheus.Option{NativeBucketFactor: 1}, "Option.NativeBucketFactor"},
		"a label's bad name":   {prometheus.Option{Labels: prom.Labels{"a\xff": "b"}}, "Option.Labels"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := prometheus.NewRecorder(&test.option)
			if test.names != "" {
				if err == nil || !strings.Contains(err.Error(), test.names) {
					t.Errorf("error %v, want one that names %s", err, test.names)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			prom.NewPedanticRegistry().MustRegister(r)
		})
	}
	if _, err := prometheus.NewServerCollector(nil, nil); err == nil {
		t.Error("a collector of no server")
	}
	if _, err := prometheus.NewClientCollector(nil, nil); err == nil {
		t.Error("a collector of no client")
	}
}

// A label that a metric has of itself is refused where the option is, and not by a
// panic of the library when it is registered or first measured.
func TestLabelsThatClash(t *testing.T) {
	sys := start(t, nil, false)
	c, s := sys.client, sys.server
	makers := map[string]func(*prometheus.Option) (prom.Collector, error){
		"recorder": func(o *prometheus.Option) (prom.Collector, error) { return prometheus.NewRecorder(o) },
		"server":   func(o *prometheus.Option) (prom.Collector, error) { return prometheus.NewServerCollector(s, o) },
		"client":   func(o *prometheus.Option) (prom.Collector, error) { return prometheus.NewClientCollector(c, o) },
		"breaker": func(o *prometheus.Option) (prom.Collector, error) {
			return prometheus.NewBreakerCollector(new(wrapper.Breaker), o)
		},
		"concurrency": func(o *prometheus.Option) (prom.Collector, error) {
			return prometheus.NewConcurrencyCollector(new(wrapper.ConcurrencyLimit), o)
		},
	}
	own := map[string][]string{
		"recorder": {"service", "method", "provider", "code", "le"}, "server": {"reason"}, "client": {"state", "breaker", "provider"}, "breaker": {"method"},
	}
	for name, make := range makers {
		for _, label := range []string{"service", "method", "provider", "code", "le", "reason", "state", "breaker"} {
			collector, err := make(&prometheus.Option{PerProvider: true, Labels: prom.Labels{label: "x"}})
			if clashes := slices.Contains(own[name], label); clashes != (err != nil) || clashes && !strings.Contains(err.Error(), "Option.Labels") {
				t.Errorf("%s with the label %q: %v", name, label, err)
			} else if !clashes {
				if err := prom.NewPedanticRegistry().Register(collector); err != nil {
					t.Errorf("%s with the label %q: %v", name, label, err)
				}
			}
		}
	}
	if _, err := prometheus.NewClientCollector(c, &prometheus.Option{Labels: prom.Labels{"provider": "x"}}); err != nil {
		t.Error(err)
	}
}

func TestMeasuringAllocatesNothing(t *testing.T) {
	r, err := prometheus.NewRecorder(&prometheus.Option{NativeBucketFactor: 1.1})
	if err != nil {
		t.Fatal(err)
	}
	call := (&wrapper.Metrics{Recorder: r}).WrapCall(nil, func(context.Context, string, any, any) error { return nil })
	ctx := context.Background()
	if allocs := testing.AllocsPerRun(1000, func() { _ = call(ctx, "Words.Echo", nil, nil) }); allocs != 0 {
		t.Errorf("%v allocations for a call", allocs)
	}
}
