package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// overloadReport prints what was found of the overload.
type overloadReport struct {
	host    machine
	options overloadOptions
	crowds  []crowd
}

func (r overloadReport) print(w io.Writer) error {
	if err := r.printHead(w); err != nil {
		return err
	}
	tables := []table{r.settings(), r.summary(), r.overTime(), r.generator()}
	if refusals := r.refusals(); len(refusals.rows) > 0 {
		tables = append(tables, refusals)
	}
	for _, t := range tables {
		if err := t.write(w, r.options.markdown); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

func (r overloadReport) printHead(w io.Writer) error {
	o, bullet := r.options, "  "
	title, picture := "OVERLOAD\n", ""
	if o.markdown {
		title, bullet = "# Overload\n", "- "
		if o.plot != "" {
			picture = fmt.Sprintf("\n![Answers in time, over time](%s)\n", filepath.Base(o.plot))
		}
	}
	lines := []string{
		"Date: " + r.host.began.UTC().Format(time.RFC3339),
		"Command: " + r.host.command,
		"Commit: " + r.host.commit,
		fmt.Sprintf("Machine: %s, %d cores, Linux %s, %s", r.host.cpu, r.host.cores, r.host.kernel, r.host.goes),
		fmt.Sprintf("Server: its handler waits %v on one of %d slots, so it answers %d calls a second. It gives up when its context ends, where the framework tells it", load.HoldTime, load.Slots, load.Capacity),
		fmt.Sprintf("Load: an open loop of %v at %d calls a second, %v at %d, %v at %d; a call is good when it is answered within %v of when it was due",
			o.Calm, load.Capacity*3/4, o.For, load.Capacity*o.Times, o.Calm, load.Capacity*3/4, o.Deadline),
	}
	if o.note != "" {
		lines = append(lines, "Note: "+o.note)
	}
	_, err := fmt.Fprintf(w, "%s\n%s%s\n%s", title, bullet, strings.Join(lines, "\n"+bullet), picture)
	return err
}

func (r overloadReport) settings() table {
	t := table{heading: "Rows", columns: []string{"row", "version", "settings"}, leftAligned: true}
	for _, c := range r.crowds {
		version := c.row.Version
		if version == "" {
			version = "this commit"
		}
		t.rows = append(t.rows, []string{c.row.Name, version, c.row.Settings})
	}
	return t
}

// crowdedSeconds are those of the overload. The first, in which the load rises,
// is one of them.
func (r overloadReport) crowdedSeconds(c crowd) []load.Second {
	from := int(r.options.Calm / time.Second)
	return c.result.Seconds[from : from+int(r.options.For/time.Second)]
}

func (r overloadReport) summary() table {
	t := table{
		heading: "Answers in time",
		note:    "The peak is the best second of the row, whatever the load was. What is neither good nor refused came too late or not at all.",
		columns: []string{"row", "peak/s", "good/s under overload", "of its peak", "worst second", "refused in time", "good/s afterwards"},
	}
	for _, c := range r.crowds {
		if c.failed != nil {
			t.rows = append(t.rows, padded(c.row.Name, oneLine(c.failed.Error()), len(t.columns)))
			continue
		}
		var peak int64
		for _, s := range c.result.Seconds {
			peak = max(peak, s.Good)
		}
		during := total(r.crowdedSeconds(c))
		after := c.result.Seconds[int((r.options.Calm+r.options.For)/time.Second):]
		t.rows = append(t.rows, []string{
			c.row.Name,
			strconv.FormatInt(peak, 10),
			fmt.Sprintf("%.0f", perSecond(during.Good, r.crowdedSeconds(c))),
			share(during.Good, peak*int64(len(r.crowdedSeconds(c)))),
			strconv.FormatInt(worst(r.crowdedSeconds(c)), 10),
			share(during.Refused, during.Sent),
			fmt.Sprintf("%.0f", perSecond(total(after).Good, after)),
		})
	}
	return t
}

func (r overloadReport) overTime() table {
	t := table{heading: "Good calls in each second", columns: []string{"second", "sent"}}
	var sent []load.Second
	for _, c := range r.crowds {
		t.columns = append(t.columns, c.row.Name)
		if c.failed == nil {
			sent = c.result.Seconds
		}
	}
	for i := range sent {
		line := []string{strconv.Itoa(i), strconv.FormatInt(sent[i].Sent, 10)}
		for _, c := range r.crowds {
			if c.failed != nil {
				line = append(line, absent)
				continue
			}
			line = append(line, strconv.FormatInt(c.result.Seconds[i].Good, 10))
		}
		t.rows = append(t.rows, line)
	}
	return t
}

func (r overloadReport) generator() table {
	t := table{
		heading: "The generator, and what it cost",
		note:    "Late is how long after they were due calls were made; the loop looks once a millisecond. CPU is of all cores.",
		columns: []string{"row", "late p50", "late p99", "late max", "generator's CPU", "server's CPU", "server peak"},
	}
	for _, c := range r.crowds {
		if c.failed != nil {
			continue
		}
		x := c.result
		t.rows = append(t.rows, []string{
			c.row.Name, micros(x.LateP50), micros(x.LateP99), micros(x.LateMax),
			fmt.Sprintf("%.0f %%", 100*x.ClientCPU), fmt.Sprintf("%.0f %%", 100*x.ServerCPU), mebibytes(x.ServerPeakRSS),
		})
	}
	return t
}

func (r overloadReport) refusals() table {
	t := table{heading: "The first refusal of each", columns: []string{"row", "error"}, leftAligned: true}
	for _, c := range r.crowds {
		if c.result.FirstRefusal != "" {
			t.rows = append(t.rows, []string{c.row.Name, oneLine(c.result.FirstRefusal)})
		}
	}
	return t
}

func total(seconds []load.Second) (sum load.Second) {
	for _, s := range seconds {
		sum.Sent += s.Sent
		sum.Good += s.Good
		sum.Refused += s.Refused
		sum.Late += s.Late
	}
	return sum
}

func worst(seconds []load.Second) int64 {
	least := seconds[0].Good
	for _, s := range seconds {
		least = min(least, s.Good)
	}
	return least
}

func perSecond(n int64, seconds []load.Second) float64 { return float64(n) / float64(len(seconds)) }

func share(part, whole int64) string {
	if whole == 0 {
		return absent
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}
