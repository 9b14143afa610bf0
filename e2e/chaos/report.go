package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// findings is what a run has come to.
type findings struct {
	*settings
	*evidence
	network    *network
	mounted    bool
	began      time.Time
	ended      time.Time
	executions map[string][]time.Time // of each provider, in order
	entries    map[string][2]int
	samples    []entrySample
	machine    []byte // what /proc/loadavg said
	violations []string
	spanned    time.Duration // see span
}

// name is that of the report's files: those of runs with a bug stand beside the
// others.
func (f *findings) name() string {
	if f.bug != "" {
		return f.plan + "-" + f.bug
	}
	return f.plan
}

// write writes the page and its plot.
func (f *findings) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, f.name()+".svg"), []byte(f.plot()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, f.name()+".md"), []byte(f.page()), 0o644)
}

// shown is how many broken promises a report spells out.
const shown = 10

// summary is for the terminal.
func (f *findings) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seed %d: %d calls, %d faults, %d promises broken\n", f.name(), f.seed, len(f.calls), len(f.faults), len(f.violations))
	for i, v := range f.violations {
		if i == shown {
			fmt.Fprintf(&b, "  and %d more\n", len(f.violations)-shown)
			break
		}
		fmt.Fprintf(&b, "  %s\n", v)
	}
	if f.plan == "rolling" {
		b.WriteString(f.latencies())
	}
	return b.String()
}

// page is the report in Markdown.
func (f *findings) page() string {
	var b strings.Builder
	verdict := "Every promise held."
	if n := len(f.violations); n > 0 {
		verdict = fmt.Sprintf("%d promises were broken.", n)
	}
	fmt.Fprintf(&b, "# %s, seed %d\n\n%s\n\n", f.title(), f.seed, verdict)
	fmt.Fprintf(&b, "![what happened](%s.svg)\n\n", f.name())
	fmt.Fprintf(&b, "%s of calls from %s on; %d processors, load average %.14s; %s.\n\n",
		f.ended.Sub(f.began).Round(time.Second), f.began.UTC().Format(time.DateTime), runtime.NumCPU(), f.machine, f.where())
	f.pageOfCalls(&b)
	if f.plan == "rolling" {
		b.WriteString(f.latencies() + "\n")
	}
	f.pageOfFaults(&b)
	f.pageOfResources(&b)
	if len(f.violations) > 0 {
		b.WriteString("## Broken\n\n")
		for _, v := range f.violations[:min(len(f.violations), shown)] {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(v, "\n", " "))
		}
		if more := len(f.violations) - shown; more > 0 {
			fmt.Fprintf(&b, "- and %d more\n", more)
		}
	}
	return b.String()
}

func (f *findings) title() string {
	title := map[string]string{"chaos": "Chaos", "rolling": "Rolling restart", "soak": "Soak"}[f.plan]
	if f.bug != "" {
		title += " with the bug " + f.bug
	}
	return title
}

// where says what the run was made on, and what was left out.
func (f *findings) where() string {
	if !f.network.namespaces {
		return "all on the loopback interface, because " + f.network.why + ": no fault of the network, and no full disk"
	}
	link := "bad links by tc netem, 30 ms late and a tenth lost"
	if !f.network.netem {
		link = "bad links by taking hosts off the bridge for 20 of 170 ms, because this kernel has no netem"
	}
	if !f.mounted {
		link += "; no full disk, because no file system could be mounted"
	}
	return "every process of ours, every ZooKeeper and etcd a host of its own in a network namespace; " + link +
		"; no clock was moved: a host has none of its own, and Go asks the kernel, which no library can come between"
}

// pageOfCalls counts what callers were told, by kind, beside the journals.
func (f *findings) pageOfCalls(b *strings.Builder) {
	type row struct {
		calls, ok, asked, executions int
		told                         map[string]int
		slowest                      time.Duration
	}
	rows := make(map[kind]*row)
	for i := range f.calls {
		c := &f.calls[i]
		r := rows[c.Kind]
		if r == nil {
			r = &row{told: make(map[string]int)}
			rows[c.Kind] = r
		}
		r.calls++
		if x := f.ran[c.ID]; x != nil {
			r.executions += x.ran
		}
		switch {
		case c.Error == "":
			r.ok++
		case !c.bad():
			r.asked++
		default:
			r.told[c.Outcome]++
		}
		r.slowest = max(r.slowest, c.Ended.Sub(c.Began))
	}
	b.WriteString("## Calls\n\n| kind | calls | OK | failed on purpose | NotSent | Refused | MaybeRun | Ran | executions | slowest |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		r := rows[k]
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %v |\n", k, r.calls, r.ok, r.asked,
			r.told["NotSent"], r.told["Refused"], r.told["MaybeRun"], r.told["Ran"], r.executions, r.slowest.Round(time.Millisecond))
	}
	b.WriteString("\n`fast` FailFast, `retry` FailRetry, `large` FailOver with 256 KiB, `http` through the gateway: not idempotent. `over` FailOver, idempotent. `cancel` is given up by its caller.\n\n")
}

// pageOfFaults tells how long calls failed after each.
func (f *findings) pageOfFaults(b *strings.Builder) {
	b.WriteString("## Faults\n\n| at | what | where | lasted | calls failed | last one, after the beginning | called again, after the end |\n|---|---|---|---|---|---|---|\n")
	for i, x := range f.faults {
		until := f.ended
		if i+1 < len(f.faults) {
			until = f.faults[i+1].began
		}
		failed, last := f.failedBetween(x.began, until)
		after := "-"
		if failed > 0 {
			after = seconds(last)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %d | %s | %s |\n", seconds(x.began.Sub(f.began)), x.name, x.target,
			seconds(x.healed.Sub(x.began)), failed, after, f.calledAgain(x))
	}
	b.WriteString("\n")
}

// failedBetween counts the calls that began between two moments and failed unasked,
// and how long after the first moment the last of them ended.
func (f *findings) failedBetween(from, to time.Time) (n int, last time.Duration) {
	for i := range f.calls {
		if c := &f.calls[i]; c.bad() && !c.Ended.Before(from) && c.Ended.Before(to) {
			n++
			last = max(last, c.Ended.Sub(from))
		}
	}
	return n, last
}

// calledAgain tells when a provider that was hit first ran something after the
// fault.
func (f *findings) calledAgain(x fault) string {
	ran := f.executions[x.target]
	i, _ := slices.BinarySearchFunc(ran, x.healed, time.Time.Compare)
	if i == len(ran) {
		return "-"
	}
	return seconds(ran[i].Sub(x.healed))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// pageOfResources shows how each process ended beside how it was under load.
func (f *findings) pageOfResources(b *strings.Builder) {
	b.WriteString("## What was left\n\n| process | starts | goroutines under load, most | at the end | descriptors, most | at the end | heap, most | at the end |\n|---|---|---|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(f.gauges)) {
		var most, last reading
		starts := 0
		for _, r := range f.gauges[name] {
			if r.First {
				starts++
			}
			most.Goroutines = max(most.Goroutines, r.Goroutines)
			most.Descriptors = max(most.Descriptors, r.Descriptors)
			most.Heap = max(most.Heap, r.Heap)
			last = r
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d KiB | %d KiB |\n", name, starts, most.Goroutines, last.Goroutines,
			most.Descriptors, last.Descriptors, most.Heap>>10, last.Heap>>10)
	}
	b.WriteString("\nProviders that each registry lists:")
	for _, name := range slices.Sorted(maps.Keys(f.entries)) {
		n := f.entries[name]
		fmt.Fprintf(b, " %s %d after the faults, %d after all had left;", name, n[0], n[1])
	}
	b.WriteString("\n\n")
}

// latencies says what calls took before, during and after the replacements.
func (f *findings) latencies() string {
	if len(f.faults) == 0 {
		return ""
	}
	first, last := f.faults[0].began, f.faults[len(f.faults)-1].healed
	var b strings.Builder
	b.WriteString("| through | when | calls | failed | p50 | p99 | most |\n|---|---|---|---|---|---|---|\n")
	for _, through := range []struct {
		name string
		kind kind
	}{{"clients", kindFast}, {"the gateway", kindHTTP}} {
		for _, span := range []struct {
			name     string
			from, to time.Time
		}{{"before", f.began, first}, {"during", first, last}, {"after", last, f.ended}} {
			var took []time.Duration
			failed := 0
			for i := range f.calls {
				c := &f.calls[i]
				if c.Kind != through.kind || c.Began.Before(span.from) || !c.Began.Before(span.to) {
					continue
				}
				took = append(took, c.Ended.Sub(c.Began))
				if c.Error != "" {
					failed++
				}
			}
			slices.SortFunc(took, cmp.Compare[time.Duration])
			fmt.Fprintf(&b, "| %s | %s | %d | %d | %v | %v | %v |\n", through.name, span.name, len(took), failed,
				quantile(took, 50), quantile(took, 99), quantile(took, 100))
		}
	}
	return b.String()
}

// quantile is of sorted times, in percent.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)].Round(10 * time.Microsecond)
}
