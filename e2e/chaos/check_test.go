package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// call is a record of one that took 10 ms.
func call(k kind, change func(*record)) record {
	r := record{ID: 5, Kind: k, Began: noon, Ended: noon.Add(10 * time.Millisecond)}
	if change != nil {
		change(&r)
	}
	return r
}

func failed(o protocol.Outcome) func(*record) {
	return func(r *record) { r.Code, r.Outcome, r.Error = protocol.Unavailable, o.String(), "gone" }
}

// given is the result of the call as its caller notes it.
func given(err error) func(*record) {
	return func(r *record) {
		ended := r.Ended
		r.fill(err)
		r.Ended = ended
	}
}

// meantToFail makes the call one for which the method fails, as it did.
func meantToFail(r *record) {
	r.ID = busyEvery + 1
	given(protocol.NewError(protocol.Unavailable, busy).WithOutcome(protocol.Ran))(r)
}

// callOf is a call that the caller of this number makes.
func callOf(caller int64, change func(*record)) record {
	r := call(kindFast, change)
	r.ID += caller << 32
	return r
}

// underAKill is a fault that excuses what failed just now.
var underAKill = []fault{{name: "provider killed", target: "p1", began: noon.Add(-time.Second), healed: noon.Add(time.Second)}}

// cutOff is a fault of one host that is on just now.
func cutOff(target string) []fault {
	return []fault{{target: target, began: noon.Add(-time.Second), healed: noon.Add(time.Second)}}
}

func TestCallersRecordsAreHeldAgainstTheJournal(t *testing.T) {
	cancelled := func(r *record) {
		r.Code, r.Outcome, r.Error, r.Gone = protocol.Canceled, protocol.MaybeRun.String(), "cancelled", noon.Add(5*time.Millisecond)
	}
	for _, test := range []struct {
		name   string
		call   record
		ran    execution
		faults []fault
		wrong  string // "" where all is as promised
	}{
		{"answered, ran once", call(kindFast, nil), execution{ran: 1}, nil, ""},
		{"answered, never ran", call(kindFast, nil), execution{}, underAKill, "ran 0 times, and may have 1 to 1"},
		{"answered, ran twice", call(kindRetry, nil), execution{ran: 2}, underAKill, "ran 2 times"},
		{"idempotent, ran three times", call(kindOver, nil), execution{ran: 3}, nil, ""},
		{"idempotent, ran four times", call(kindOver, nil), execution{ran: 4}, nil, "ran 4 times"},
		{"not sent", call(kindFast, failed(protocol.NotSent)), execution{}, underAKill, ""},
		{"not sent, ran", call(kindFast, failed(protocol.NotSent)), execution{ran: 1}, underAKill, "may have 0 to 0"},
		{"refused, ran", call(kindOver, failed(protocol.Refused)), execution{ran: 1}, underAKill, "may have 0 to 0"},
		{"may have run, did", call(kindHTTP, failed(protocol.MaybeRun)), execution{ran: 1}, underAKill, ""},
		{"may have run, did not", call(kindHTTP, failed(protocol.MaybeRun)), execution{}, underAKill, ""},
		{"may have run, twice", call(kindHTTP, failed(protocol.MaybeRun)), execution{ran: 2}, underAKill, "may have 0 to 1"},
		{"said to have run, did not", call(kindFast, failed(protocol.Ran)), execution{}, underAKill, "may have 1 to 1"},
		{"failed without a reason", call(kindFast, failed(protocol.NotSent)), execution{}, nil, "nothing that it needs but registries"},
		{"failed while its host was cut off", callOf(2, failed(protocol.NotSent)), execution{}, cutOff("c2"), ""},
		{"failed while another caller was cut off", callOf(2, failed(protocol.NotSent)), execution{}, cutOff("c1"), "nothing that it needs but registries"},
		{"failed while a provider was cut off", callOf(2, failed(protocol.NotSent)), execution{}, cutOff("p1"), ""},
		{"failed with the gateway", call(kindHTTP, failed(protocol.NotSent)), execution{}, cutOff("g1"), ""},
		{"failed while the gateway was cut off", call(kindFast, failed(protocol.NotSent)), execution{}, cutOff("g1"), "nothing that it needs but registries"},
		{"oneway, lost with its provider", call(kindOneway, nil), execution{}, underAKill, ""},
		{"oneway, lost", call(kindOneway, nil), execution{}, nil, "may have 1 to 1"},
		{"oneway, ran twice", call(kindOneway, nil), execution{ran: 2}, underAKill, "may have 0 to 1"},
		{"given another's answer", call(kindFast, given(&wrongAnswer{5, "6 with 0 bytes"})), execution{ran: 1}, underAKill, "the answer of another call"},
		{"failed as another does", call(kindHTTP, given(protocol.NewError(protocol.NotFound, noSuch).WithOutcome(protocol.Ran))), execution{ran: 1}, underAKill, "the answer of another call"},
		{"failed as its method never does", call(kindLarge, given(protocol.NewError(protocol.Unavailable, busy))), execution{}, underAKill, "the answer of another call"},
		{"failed as it was meant to", call(kindFast, meantToFail), execution{ran: 1}, nil, ""},
		{"hung", call(kindFast, func(r *record) { r.Ended = noon.Add(time.Minute) }), execution{ran: 1}, nil, "its time was"},
		{"cancelled", call(kindCancel, cancelled), execution{1, noon.Add(6 * time.Millisecond)}, nil, ""},
		{"cancelled before it ran", call(kindCancel, cancelled), execution{}, nil, ""},
		{"cancel lost", call(kindCancel, cancelled), execution{ran: 1}, nil, "never told"},
		{"cancel late", call(kindCancel, cancelled), execution{1, noon.Add(5 * time.Second)}, nil, "was told"},
		{"cancel lost with the network", call(kindCancel, cancelled), execution{ran: 1}, underAKill, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &evidence{calls: []record{test.call}, ran: map[int64]*execution{test.call.ID: &test.ran}, faults: test.faults, limit: time.Second}
			broken := strings.Join(e.violations(), "; ")
			if (test.wrong == "") != (broken == "") || !strings.Contains(broken, test.wrong) {
				t.Errorf("found %q, want %q", broken, test.wrong)
			}
		})
	}
}

func TestAnExecutionThatNobodyAskedForIsFound(t *testing.T) {
	e := &evidence{ran: map[int64]*execution{9: {ran: 1}}}
	if broken := e.violations(); len(broken) != 1 || !strings.Contains(broken[0], "nobody's record") {
		t.Errorf("found %q", broken)
	}
}

func TestWhatAProcessLeavesBehindIsFound(t *testing.T) {
	first := reading{First: true, PID: 1, Goroutines: 2, Descriptors: 8, Heap: 1 << 20}
	for name, test := range map[string]struct {
		last  reading
		wrong string
	}{
		"nothing":     {reading{Last: true, PID: 1, Goroutines: 2, Descriptors: 9, Heap: 2 << 20}, ""},
		"goroutines":  {reading{Last: true, PID: 1, Goroutines: 40, Descriptors: 9}, "40 goroutines"},
		"descriptors": {reading{Last: true, PID: 1, Goroutines: 2, Descriptors: 90}, "90 descriptors"},
		"heap":        {reading{Last: true, PID: 1, Goroutines: 2, Heap: 1 << 30}, "KiB of heap"},
		"no end":      {reading{PID: 1}, "did not end in order"},
	} {
		e := &evidence{gauges: map[string][]reading{"p1": {first, test.last}}}
		broken := strings.Join(e.violations(), "; ")
		if (test.wrong == "") != (broken == "") || !strings.Contains(broken, test.wrong) {
			t.Errorf("%s: found %q, want %q", name, broken, test.wrong)
		}
	}
}

func TestAFaultWithoutAnEffectIsFound(t *testing.T) {
	cut := []fault{{name: "provider cut off", target: "p1", began: noon, ending: noon.Add(5 * time.Second), healed: noon.Add(6 * time.Second)}, {name: "caller cut off", target: "c1", began: noon, ending: noon.Add(5 * time.Second), healed: noon.Add(6 * time.Second)}}
	served := call(kindFast, func(r *record) {
		r.ID, r.Began, r.Ended = 1<<32, noon.Add(2*time.Second), noon.Add(2100*time.Millisecond)
	})
	for name, test := range map[string]struct {
		calls []record
		ran   time.Duration
		idle  int
	}{
		"all quiet":    {nil, 6 * time.Second, 0},
		"it ran":       {nil, 2 * time.Second, 1},
		"it was heard": {[]record{served}, -time.Second, 1},
	} {
		e := &evidence{faults: cut, calls: test.calls}
		if broken := e.idle(map[string][]time.Time{"p1": {noon.Add(test.ran)}}); len(broken) != test.idle {
			t.Errorf("%s: found %q", name, broken)
		}
	}
}

func TestTheReportTellsOfAFault(t *testing.T) {
	bad := call(kindFast, failed(protocol.MaybeRun))
	f := &findings{
		settings: &settings{plan: "chaos", seed: 3}, network: &network{why: "this is a test"},
		evidence: &evidence{calls: []record{bad}, ran: map[int64]*execution{}, faults: []fault{{name: "provider killed", target: "p1", began: noon, healed: noon.Add(2 * time.Second)}}},
		began:    noon.Add(-time.Second), ended: noon.Add(9 * time.Second),
		executions: map[string][]time.Time{"p1": {noon.Add(-time.Millisecond), noon.Add(2500 * time.Millisecond)}},
	}
	const row = "| 1.00 s | provider killed | p1 | 2.00 s | 1 | 0.01 s | 0.50 s |"
	if page := f.page(); !strings.Contains(page, row) || !strings.Contains(page, "Every promise held.") || !strings.Contains(page, "because this is a test") {
		t.Errorf("no row %q in\n%s", row, page)
	}
	f.violations = []string{fmt.Sprintf("%v: something", &bad)}
	if page := f.page(); !strings.Contains(page, "1 promises were broken.") || !strings.Contains(page, "fast call 5, MaybeRun (gone): something") {
		t.Errorf("the report hides what was broken:\n%s", page)
	}
	if plot := f.plot(); !strings.Contains(plot, "provider killed, p1") || !strings.HasSuffix(plot, "</svg>\n") {
		t.Errorf("a plot without the fault:\n%s", plot)
	}
}
