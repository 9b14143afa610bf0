package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   float64
	}{
		{"none", nil, 0},
		{"one", []float64{3}, 3},
		{"odd, unsorted", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 2, 9}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := median(test.values); got != test.want {
				t.Errorf("median %v, want %v", got, test.want)
			}
		})
	}
}

func TestParseOptionsRefusesWhatCannotBeRun(t *testing.T) {
	for _, args := range []string{
		"-rounds 0", "-rounds 1000", "-duration 0s", "-duration 2h", "-warmup -1s",
		"-callers 0", "-callers 1,x", "-sizes 99999999", "-idle -1",
	} {
		if _, err := parseOptions(strings.Fields(args)); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if _, err := parseOptions(nil); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestWants(t *testing.T) {
	tests := []struct {
		only string
		name string
		want bool
	}{
		{"", "rpcx", true},
		{"rpcx", "rpcx", true},
		{"arpc", "arpc/inline", true},
		{"arpc/inline", "arpc", false},
		{"rpcx,net/rpc", "net/rpc", true},
		{"rpc", "rpcx", false},
	}
	for _, test := range tests {
		var only []string
		if test.only != "" {
			only = strings.Split(test.only, ",")
		}
		if got := wants(only, test.name); got != test.want {
			t.Errorf("-peers %q wants %s: %v", test.only, test.name, got)
		}
	}
}

// measured makes a report of two peers and one row of ours in one cell.
func measured(oursPerSecond float64, oursP99 time.Duration) report {
	c := cell{100, 16, load.TimeoutNone}
	result := func(perSecond float64, p99 time.Duration) map[cell]*runs {
		return map[cell]*runs{c: {results: []load.Result{{PerSecond: perSecond, P99: p99}}}}
	}
	return report{
		options: options{sizes: []int{c.size}, callers: []int{c.callers}, rounds: 1},
		rows: []row{
			{Description: load.Description{Name: "limit/x"}, kind: limit},
			{Description: load.Description{Name: "slow"}, kind: peer},
			{Description: load.Description{Name: "fast"}, kind: peer},
			{Description: load.Description{Name: "sinew/x"}, kind: ours},
		},
		found: &findings{runs: map[string]map[cell]*runs{
			"limit/x": result(9000, time.Millisecond),
			"slow":    result(500, 4*time.Millisecond),
			"fast":    result(1000, 5*time.Millisecond),
			"sinew/x": result(oursPerSecond, oursP99),
		}},
	}
}

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name      string
		perSecond float64
		p99       time.Duration
		want      string
	}{
		{"both met", 2500, 4 * time.Millisecond, "yes yes"},
		{"a tie in p99 is met", 2500, 4100 * time.Microsecond, "yes yes"},
		{"a factor has no tie", 2490, 4 * time.Millisecond, "NO yes"},
		{"the lowest p99 counts, not the best peer's", 2500, 4500 * time.Microsecond, "yes NO"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, line := range measured(test.perSecond, test.p99).verdictTable().rows {
				got = append(got, line[len(line)-1])
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("met: %v, want %s", got, test.want)
			}
		})
	}
}

// A governed client is held against the bare one, and against twice the best peer.
func TestVerdictsOfTheGovernedClient(t *testing.T) {
	c := cell{100, 16, load.TimeoutNone}
	for _, test := range []struct {
		name      string
		perSecond float64
		want      string
	}{
		{"both met", 2550, "yes yes"},
		{"too far below the bare client", 2500, "NO yes"},
		{"below twice the best peer", 1999, "NO NO"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := measured(3000, time.Millisecond)
			r.rows = append(r.rows, row{Description: load.Description{Name: "sinew/governed"}, kind: ours})
			r.found.runs["sinew/msgp"] = r.found.runs["sinew/x"]
			r.found.runs["sinew/governed"] = map[cell]*runs{c: {results: []load.Result{{PerSecond: test.perSecond}}}}
			var got []string
			for _, line := range r.verdictTable().rows {
				if line[0] == "sinew/governed" {
					got = append(got, line[len(line)-1])
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("met: %v, want %s", got, test.want)
			}
		})
	}
}

func TestReportLeavesNothingOut(t *testing.T) {
	r := measured(3000, time.Millisecond)
	c := cell{100, 16, load.TimeoutNone}
	r.found.runs["slow"][c] = &runs{failed: []error{errors.New("it broke | twice")}}
	r.found.runs["fast"][c].results[0].Errors = 2
	r.found.runs["fast"][c].results[0].FirstError = "timed out"
	for _, markdown := range []bool{true, false} {
		r.options.markdown = markdown
		var out strings.Builder
		if err := r.print(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"limit/x", "slow", "no result: it broke / twice", "2 calls failed: timed out", "3.00×"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("markdown %v: the report does not say %q:\n%s", markdown, want, out.String())
			}
		}
	}
}
