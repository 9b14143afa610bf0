package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// What is promised, and held.
const (
	// beyond is how much later than its time a call may end on a busy machine.
	beyond = 1500 * time.Millisecond
	// cancelLimit is how soon a method is told that its caller has gone, when
	// nothing is between them.
	cancelLimit = time.Second
	// shadow is how long after its end a fault may still explain what is found.
	shadow = 5 * time.Second
	// maxAttempts is how often an idempotent call may run: FailOver's default.
	maxAttempts = 3
	// A process may not have more heap at its end than twice that of its
	// beginning and this.
	heapAllowance = 32 << 20
	// descriptorAllowance is for the files that the runtime opens on demand.
	descriptorAllowance = 4
)

// evidence is what the checker goes by.
type evidence struct {
	calls  []record
	ran    map[int64]*execution
	faults []fault
	limit  time.Duration // of one call
	gauges map[string][]reading
}

// collect reads what callers and providers wrote.
func (d *deployment) collect(faults []fault) (*evidence, map[string][]time.Time, error) {
	e := &evidence{ran: make(map[int64]*execution), faults: faults, limit: requestTimeout, gauges: make(map[string][]reading)}
	if d.plan == "rolling" {
		e.limit = rollingRequestTimeout
	}
	for _, c := range d.callers {
		calls, err := readJSON[record](c.path("calls"))
		if err != nil {
			return nil, nil, err
		}
		e.calls = append(e.calls, calls...)
	}
	slices.SortFunc(e.calls, func(a, b record) int { return a.Began.Compare(b.Began) })
	at := make(map[string][]time.Time)
	for _, p := range d.providers {
		if err := readJournal(p.path("journal"), e.ran, func(t time.Time) { at[p.host.name] = append(at[p.host.name], t) }); err != nil {
			return nil, nil, err
		}
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "*.gauge"))
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		name := filepath.Base(file)
		if e.gauges[name[:len(name)-len(".gauge")]], err = readJSON[reading](file); err != nil {
			return nil, nil, err
		}
	}
	return e, at, nil
}

// violations is every promise that was broken, in words.
func (e *evidence) violations() (broken []string) {
	known := make(map[int64]bool, len(e.calls))
	for i := range e.calls {
		c := &e.calls[i]
		if known[c.ID] {
			broken = append(broken, fmt.Sprintf("%v: recorded twice", c))
		}
		known[c.ID] = true
		for _, wrong := range e.wrong(c) {
			broken = append(broken, fmt.Sprintf("%v: %s", c, wrong))
		}
	}
	for id := range e.ran {
		if !known[id] {
			broken = append(broken, fmt.Sprintf("call %d ran, and nobody's record has it", id))
		}
	}
	slices.Sort(broken)
	return append(broken, e.leaks()...)
}

// String names a call and what its caller was told.
func (r *record) String() string {
	told := "OK"
	if r.Error != "" {
		told = fmt.Sprintf("%s (%.160s)", r.Outcome, r.Error)
	}
	return fmt.Sprintf("%s call %d, %s", r.Kind, r.ID, told)
}

// wrong says what is not as promised with one call.
func (e *evidence) wrong(c *record) (wrong []string) {
	if c.Wrong {
		wrong = append(wrong, "was given the answer of another call")
	}
	ran := 0
	x := e.ran[c.ID]
	if x != nil {
		ran = x.ran
	}
	if least, most := e.mayRun(c); ran < least || ran > most {
		wrong = append(wrong, fmt.Sprintf("ran %d times, and may have %d to %d", ran, least, most))
	}
	if took := c.Ended.Sub(c.Began); took > e.limit+beyond {
		wrong = append(wrong, fmt.Sprintf("took %v, its time was %v", took.Round(time.Millisecond), e.limit))
	}
	if c.Kind == kindCancel && !c.Gone.IsZero() {
		if late := c.Ended.Sub(c.Gone); late > beyond {
			wrong = append(wrong, fmt.Sprintf("returned %v after it was cancelled", late.Round(time.Millisecond)))
		}
		if ran == 1 && e.undisturbed(c, c.Began.Add(-shadow), c.Gone.Add(cancelLimit)) {
			if x.cancelled.IsZero() {
				wrong = append(wrong, "its method was never told that it is cancelled")
			} else if late := x.cancelled.Sub(c.Gone); late > cancelLimit {
				wrong = append(wrong, fmt.Sprintf("its method was told %v after it was cancelled", late.Round(time.Millisecond)))
			}
		}
	}
	if c.bad() && e.undisturbed(c, c.Began.Add(-shadow), c.Ended) {
		wrong = append(wrong, "failed though nothing that it needs but registries was in trouble")
	}
	return wrong
}

// mayRun returns how often the method may have run, by what its caller was told.
func (e *evidence) mayRun(c *record) (least, most int) {
	once := 1
	if c.Kind == kindOver {
		once = maxAttempts
	}
	switch {
	case c.Kind == kindOneway && c.Code == protocol.OK:
		// Written to the socket: it is lost if the provider is, and only then.
		if e.undisturbed(c, c.Began.Add(-shadow), c.Ended.Add(shadow)) {
			return 1, 1
		}
		return 0, 1
	case c.Error == "":
		return 1, once
	}
	switch c.Outcome {
	case protocol.NotSent.String(), protocol.Refused.String():
		return 0, 0
	case protocol.Ran.String():
		return 1, once
	}
	return 0, once
}

// undisturbed reports whether no fault that the call may notice was on between two
// moments.
func (e *evidence) undisturbed(c *record, from, to time.Time) bool {
	return !slices.ContainsFunc(e.faults, func(f fault) bool { return f.touches(c) && f.began.Before(to) && f.healed.After(from) })
}

// leaks compares how each process began with how it ended.
func (e *evidence) leaks() (broken []string) {
	for _, name := range slices.Sorted(maps.Keys(e.gauges)) {
		var first, early reading
		ended := false
		for i, r := range e.gauges[name] {
			switch {
			case r.First:
				first, early = r, r
				if i+5 < len(e.gauges[name]) && e.gauges[name][i+5].PID == r.PID {
					early = e.gauges[name][i+5] // when it works as it will
				}
			case r.Last:
				ended = true
				broken = append(broken, leftBehind(name, first, early, r)...)
			}
		}
		if !ended {
			broken = append(broken, name+" did not end in order")
		}
	}
	return broken
}

func leftBehind(name string, first, early, last reading) (broken []string) {
	if last.Goroutines > goroutinesAtRest {
		broken = append(broken, fmt.Sprintf("%s (%d) ended with %d goroutines, and at most %d may be left", name, last.PID, last.Goroutines, goroutinesAtRest))
	}
	if last.Descriptors > first.Descriptors+descriptorAllowance {
		broken = append(broken, fmt.Sprintf("%s (%d) ended with %d descriptors, and began with %d", name, last.PID, last.Descriptors, first.Descriptors))
	}
	if last.Heap > 2*early.Heap+heapAllowance {
		broken = append(broken, fmt.Sprintf("%s (%d) ended with %d KiB of heap, and had %d KiB when it had begun", name, last.PID, last.Heap>>10, early.Heap>>10))
	}
	return broken
}

// judge makes the findings of a run.
func (d *deployment) judge(faults []fault) (*findings, error) {
	e, executions, err := d.collect(faults)
	if err != nil {
		return nil, err
	}
	f := &findings{settings: d.settings, evidence: e, began: d.began, ended: time.Now(), executions: executions,
		entries: d.entries, samples: d.samples, network: d.network, mounted: d.registries.mounted}
	f.violations = append(e.violations(), d.unfinished...)
	for name, n := range d.entries {
		if n != [2]int{providers, 0} {
			f.violations = append(f.violations, fmt.Sprintf("%s listed %d providers after the faults and %d after all had left, want %d and 0", name, n[0], n[1], providers))
		}
	}
	f.violations = append(f.violations, e.idle(executions)...)
	if d.plan != "chaos" {
		f.violations = append(f.violations, e.failures()...)
	}
	if len(e.calls) == 0 || len(e.ran) == 0 {
		f.violations = append(f.violations, "no call was made")
	}
	f.machine, _ = os.ReadFile("/proc/loadavg") // elsewhere: nothing is said of it
	return f, nil
}

// failures are the calls that failed though nobody asked them to: where providers
// are replaced in order there is none.
func (e *evidence) failures() (broken []string) {
	for i := range e.calls {
		if c := &e.calls[i]; c.bad() {
			broken = append(broken, fmt.Sprintf("%v: failed under a replacement in order", c))
		}
	}
	return broken
}

// biteAfter is how long a fault may take to have its effect.
const biteAfter = 500 * time.Millisecond

// stopsHost are the faults in which nothing comes from the host any more.
var stopsHost = []string{"provider killed", "provider frozen", "provider cut off", "caller cut off"}

// idle names the faults that had no effect: what is found under them is worth
// nothing.
func (e *evidence) idle(executions map[string][]time.Time) (broken []string) {
	for _, f := range e.faults {
		if !slices.Contains(stopsHost, f.name) {
			continue
		}
		from := f.began.Add(biteAfter)
		within := func(at time.Time) bool { return at.After(from) && at.Before(f.ending) }
		lives := slices.ContainsFunc(executions[f.target], within) || slices.ContainsFunc(e.calls, func(c record) bool {
			return c.Error == "" && c.Kind != kindOneway && c.caller() == f.target && c.Began.After(from) && within(c.Ended)
		})
		if lives {
			broken = append(broken, fmt.Sprintf("%s, %s: it went on all the same, so the fault was none", f.name, f.target))
		}
	}
	return broken
}
