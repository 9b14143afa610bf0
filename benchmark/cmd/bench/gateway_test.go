package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// gatewayForTest is a report of one cell: ours and a peer that answer themselves,
// and the same that forward.
func gatewayForTest() gatewayReport {
	c := cell{100, 16, load.TimeoutNone}
	r := gatewayReport{report: report{
		options: options{sizes: []int{c.size}, callers: []int{c.callers}, rounds: 1, markdown: true},
		found:   &findings{runs: map[string]map[cell]*runs{}},
	}}
	add := func(name string, k kind, forwards bool, perSecond float64, server, behind time.Duration) {
		r.rows = append(r.rows, row{Description: load.Description{Name: name, Forwards: forwards}, kind: k})
		r.found.runs[name] = map[cell]*runs{c: {results: []load.Result{
			{PerSecond: perSecond, Server: load.Cost{CPU: server}, Behind: load.Cost{CPU: behind}},
		}}}
	}
	const us = time.Microsecond
	add(bareHTTP, limit, false, 10_000, 20*us, 0)
	add("peer", peer, false, 8000, 30*us, 0)
	add("peer/alone", peer, true, 2000, 80*us, 30*us)
	add("sinew", ours, false, 8800, 27*us, 0)
	add("sinew/alone", ours, true, 4000, 100*us, 9*us)
	return r
}

func TestGatewayReportComparesThoseThatDoTheSame(t *testing.T) {
	r := gatewayForTest()
	r.note = "a quiet night"
	var b strings.Builder
	if err := r.print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Gateway", "Note: a quiet night",
		"| limit/http | 0 | 10.0 k | 10.0 k … 10.0 k | 1.25× | 1.00× | 0.0 µs | 0.0 µs | 20.0 µs | 20.0 µs … 20.0 µs | 0.67× | – | – |",
		"| sinew | 0 | 8.8 k | 8.8 k … 8.8 k | 1.10× | 0.88× | 0.0 µs | 0.0 µs | 27.0 µs | 27.0 µs … 27.0 µs | 0.90× | +7.0 µs | – |",
		"| 4.0 k … 4.0 k | 2.00× | 0.40× | 0.0 µs | 0.0 µs | 100 µs | 100 µs … 100 µs | 1.25× | +80.0 µs | 9.0 µs |",
		"| sinew | 100 callers, 16 B | 1.10× | 0.90× | yes |",
		"| sinew/alone | 100 callers, 16 B | 2.00× | 1.25× | NO |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

func TestGatewayReportLeavesNothingOut(t *testing.T) {
	r := gatewayForTest()
	for _, all := range r.found.runs["peer"] {
		*all = runs{failed: []error{errors.New("it fell over")}}
	}
	var b strings.Builder
	if err := r.print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| peer | no result |", "no result: it fell over"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

func TestParseGatewayOptions(t *testing.T) {
	for _, args := range []string{"-rounds 0", "-duration 2h", "-callers 0", "-sizes x", "-idle 3"} {
		if _, err := parseGatewayOptions(strings.Fields(args)); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	o, err := parseGatewayOptions([]string{"-peers", "sinew,connect-go"})
	if err != nil || len(o.cells()) != 4 || !wants(o.only, "connect-go/plain") || wants(o.only, "grpc-gateway") {
		t.Errorf("%+v, %v", o, err)
	}
}
