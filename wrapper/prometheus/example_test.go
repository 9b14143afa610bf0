package prometheus_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
	"github.com/sinew-rpc/sinew/wrapper/prometheus"
)

// A server whose calls, connections and refusals Prometheus can scrape.
func Example() {
	recorder, err := prometheus.NewRecorder(nil)
	if err != nil {
		log.Fatal(err)
	}
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{
		Mem:      network,
		Wrappers: []server.Wrapper{&wrapper.Metrics{Recorder: recorder}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Register(Words{}); err != nil {
		log.Fatal(err)
	}
	collector, err := prometheus.NewServerCollector(s, nil)
	if err != nil {
		log.Fatal(err)
	}
	metrics := prom.NewRegistry()
	metrics.MustRegister(recorder, collector)
	endpoint := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}) // http.Handle("/metrics", endpoint)

	go s.Serve("mem", "measured", nil)
	<-s.Listening()
	defer s.Close()
	c, err := client.NewRPCClient("mem", "measured", &client.Option{Mem: network})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if _, err := client.Invoke[Word](context.Background(), c, "Words.Echo", &Word{"x"}); err != nil {
			log.Fatal(err)
		}
	}

	answer := httptest.NewRecorder()
	endpoint.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	fmt.Println(answer.Code, s.Stats().Requests, "requests")
	// Output:
	// 200 3 requests
}
