package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// crowdsForTest are a row that keeps up and one that gave no result.
func crowdsForTest() (overloadOptions, []crowd) {
	o := overloadOptions{Overload: load.Overload{Times: 5, Calm: time.Second, For: 2 * time.Second, Deadline: 200 * time.Millisecond}, markdown: true, plot: "dir/o.svg"}
	good := crowd{row: row{Description: load.Description{Name: "fast & fine"}}}
	good.result.Seconds = []load.Second{{Sent: 1200, Good: 1200}, {Sent: 8000, Good: 1600, Refused: 6000, Late: 400}, {Sent: 8000, Good: 1400, Refused: 6600}, {Sent: 1200, Good: 1199}}
	good.result.FirstRefusal = "too | much"
	return o, []crowd{good, {row: row{Description: load.Description{Name: "broken", Version: "v1"}}, failed: errors.New("it fell over")}}
}

func TestOverloadReport(t *testing.T) {
	o, crowds := crowdsForTest()
	var b strings.Builder
	if err := (overloadReport{options: o, crowds: crowds}).print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"![Answers in time, over time](o.svg)",
		"| fast & fine | 1600 | 1500 | 93.8 % | 1400 | 78.8 % | 1199 |",
		"| broken | it fell over |",
		"| 2 | 8000 | 1400 | – |",
		"| fast & fine | too / much |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	o, crowds := crowdsForTest()
	plot := plotOverload(o.Overload, crowds)
	for d := xml.NewDecoder(strings.NewReader(plot)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, plot)
		}
	}
	if strings.Count(plot, "<polyline") != 1 || !strings.Contains(plot, "fast &amp; fine") || strings.Contains(plot, "broken") {
		t.Errorf("not one line for the one row:\n%s", plot)
	}
}

func TestParseOverloadOptions(t *testing.T) {
	for _, args := range []string{"-calm 1.5s", "-duration 0s", "-duration 2h", "-calm x"} {
		if _, err := parseOverloadOptions(strings.Fields(args)); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	o, err := parseOverloadOptions([]string{"-peers", "sinew,rpcx"})
	if err != nil || o.Times != 5 || o.For != 30*time.Second || !wants(o.only, "sinew/limited") || wants(o.only, "kitex/mux") {
		t.Errorf("%+v, %v", o, err)
	}
}
