package prometheus

import (
	"errors"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/sinew-rpc/sinew/server"
)

// serverCollector reads server.Stats.
type serverCollector struct {
	metrics
	server *server.SGServer

	connections, running, held, registered        emit
	accepted, turnedAway, admitted, read, written emit
	refused, refusedOneways, panics               emit
}

// NewServerCollector returns a Collector that reads s when it is scraped, to be
// registered by the caller. A nil option is a zero one. The error names what
// cannot be used.
//
//	sinew_server_connections
//	sinew_server_connections_accepted_total
//	sinew_server_connections_refused_total
//	sinew_server_admitted_requests
//	sinew_server_admitted_bytes
//	sinew_server_admitted_requests_total
//	sinew_server_read_bytes_total
//	sinew_server_written_bytes_total
//	sinew_server_refused_total{reason}
//	sinew_server_refused_oneways_total
//	sinew_server_panics_total
//	sinew_server_registered
//
// reason is unknown, unreadable, tags, admission, size, room, draining or
// expired: see server.Refusals.
func NewServerCollector(s *server.SGServer, option *Option) (prom.Collector, error) {
	if s == nil {
		return nil, errors.New("prometheus: the server is nil")
	}
	o, err := option.complete("reason")
	if err != nil {
		return nil, err
	}
	c := &serverCollector{metrics: metrics{option: o, subsystem: "server"}, server: s}
	c.connections = c.gauge("connections", "The connections being served.")
	c.accepted = c.counter("connections_accepted_total", "The connections that were accepted.")
	c.turnedAway = c.counter("connections_refused_total", "The connections beyond MaxConnections.")
	c.running = c.gauge("admitted_requests", "The requests that MaxRequestsInFlight bounds.")
	c.held = c.gauge("admitted_bytes", "The bytes of bodies that MaxBytesInFlight bounds.")
	c.admitted = c.counter("admitted_requests_total", "The requests that were admitted.")
	c.read = c.counter("read_bytes_total", "The bytes of frames that arrived.")
	c.written = c.counter("written_bytes_total", "The bytes of frames that were sent.")
	c.refused = c.counter("refused_total", "The requests whose method was not entered, by the reason.", "reason")
	c.refusedOneways = c.counter("refused_oneways_total", "The oneways that were refused, of which nobody was told.")
	c.panics = c.counter("panics_total", "The panics of methods and wrappers that the server contained.")
	c.registered = c.gauge("registered", "1 while every address that is served stands in the registry, else 0.")
	return c, nil
}

// Collect implements the Collector of client_golang.
func (c *serverCollector) Collect(ch chan<- prom.Metric) {
	s := c.server.Stats()
	c.connections(ch, float64(s.Connections))
	c.accepted(ch, float64(s.ConnectionsAccepted))
	c.turnedAway(ch, float64(s.ConnectionsRefused))
	c.running(ch, float64(s.RequestsInFlight))
	c.held(ch, float64(s.BytesInFlight))
	c.admitted(ch, float64(s.Requests))
	c.read(ch, float64(s.BytesRead))
	c.written(ch, float64(s.BytesWritten))
	c.refusals(ch, &s.Refused)
	c.refusedOneways(ch, float64(s.RefusedOneways))
	c.panics(ch, float64(s.Panics))
	registered := 0.0
	if ok, _ := c.server.Registered(); ok {
		registered = 1
	}
	c.registered(ch, registered)
}

func (c *serverCollector) refusals(ch chan<- prom.Metric, r *server.Refusals) {
	for _, one := range []struct {
		reason string
		count  uint64
	}{
		{"unknown", r.Unknown}, {"unreadable", r.Unreadable}, {"tags", r.Tags}, {"admission", r.Admission},
		{"size", r.Size}, {"room", r.Room}, {"draining", r.Draining}, {"expired", r.Expired},
	} {
		c.refused(ch, float64(one.count), one.reason)
	}
}
