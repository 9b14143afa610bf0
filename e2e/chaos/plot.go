package main

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// The plot's measures, in pixels.
const (
	plotWidth  = 1000
	plotLeft   = 70
	laneHeight = 110
	laneGap    = 34
	labelRoom  = 150
)

// series is one line of a lane.
type series struct {
	name   string
	colour string
	points []point
}

type point struct {
	at    time.Time
	value float64
}

// plot draws what happened, over time: calls, failures, and what processes took,
// with the faults behind them.
func (f *findings) plot() string {
	lanes := []series{
		{"calls per second that did as they should", "#2a7f3f", f.perSecond(func(c *record) bool { return !c.bad() })},
		{"calls per second that failed", "#c0392b", f.perSecond((*record).bad)},
		{"goroutines, all processes", "#2c5f9e", f.sum(func(r reading) float64 { return float64(r.Goroutines) })},
		{"heap in MiB, all processes", "#7d3c98", f.sum(func(r reading) float64 { return float64(r.Heap) / (1 << 20) })},
		{"descriptors, all processes", "#b9770e", f.sum(func(r reading) float64 { return float64(r.Descriptors) })},
	}
	if len(f.samples) > 0 {
		entries := series{"entries, all registries", "#117a65", nil}
		for _, s := range f.samples {
			entries.points = append(entries.points, point{s.at, float64(s.count)})
		}
		lanes = append(lanes, entries)
	}
	height := labelRoom + len(lanes)*(laneHeight+laneGap)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", plotWidth+plotLeft+30, height+20)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	for _, x := range f.faults {
		from, to := f.x(x.began), f.x(x.healed)
		colour := "#f5b7b1"
		if x.spares {
			colour = "#d6dbdf"
		}
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" opacity="0.6"/>`+"\n", from, labelRoom, max(1, to-from), height-labelRoom-laneGap, colour)
		fmt.Fprintf(&b, `<text transform="translate(%.1f %d) rotate(-60)">%s</text>`+"\n", from+4, labelRoom-4, html.EscapeString(x.name+", "+x.target))
	}
	for i, lane := range lanes {
		f.lane(&b, lane, labelRoom+i*(laneHeight+laneGap))
	}
	for i := range 11 {
		at := f.began.Add(f.span() * time.Duration(i) / 10)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%v</text>`+"\n", f.x(at), height, at.Sub(f.began).Round(time.Second))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// lane draws one line between a floor at zero and its highest value.
func (f *findings) lane(b *strings.Builder, s series, top int) {
	highest := 1.0
	for _, p := range s.points {
		highest = max(highest, p.value)
	}
	floor := top + laneHeight
	fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#888"/>`+"\n", plotLeft, floor, plotLeft+plotWidth, floor)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%.0f</text><text x="%d" y="%d" text-anchor="end">0</text>`+"\n", plotLeft-6, top+18, highest, plotLeft-6, floor)
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", plotLeft+4, floor+14, s.colour, html.EscapeString(s.name))
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.3" points="`, s.colour)
	for _, p := range s.points {
		fmt.Fprintf(b, "%.1f,%.1f ", f.x(p.at), float64(floor)-p.value/highest*(laneHeight-14))
	}
	b.WriteString(`"/>` + "\n")
}

// span is how long calls were made, which is what the plot shows. It looks at all
// of them once.
func (f *findings) span() time.Duration {
	if f.spanned > 0 {
		return f.spanned
	}
	last := f.began
	for i := range f.calls {
		if end := f.calls[i].Ended; end.After(last) {
			last = end
		}
	}
	f.spanned = max(time.Second, last.Sub(f.began))
	return f.spanned
}

func (f *findings) x(at time.Time) float64 {
	part := float64(at.Sub(f.began)) / float64(f.span())
	return plotLeft + plotWidth*min(1, max(0, part))
}

// perSecond counts the calls that ended in each second and that are meant.
func (f *findings) perSecond(meant func(*record) bool) (points []point) {
	counts := make([]int, int(f.span()/time.Second)+1)
	for i := range f.calls {
		c := &f.calls[i]
		if second := int(c.Ended.Sub(f.began) / time.Second); second >= 0 && second < len(counts) && meant(c) {
			counts[second]++
		}
	}
	for second, n := range counts {
		points = append(points, point{f.began.Add(time.Duration(second) * time.Second), float64(n)})
	}
	return points
}

// sum adds up what all processes take, each second.
func (f *findings) sum(of func(reading) float64) (points []point) {
	for second := range int(f.span() / time.Second) {
		at := f.began.Add(time.Duration(second) * time.Second)
		total := 0.0
		for _, readings := range f.gauges {
			total += of(latest(readings, at))
		}
		points = append(points, point{at, total})
	}
	return points
}

// latest is the last reading before at, of those that are in order, and nothing
// where it is too old to go by.
func latest(readings []reading, at time.Time) (r reading) {
	for _, one := range readings {
		if one.At.After(at) {
			break
		}
		r = one
	}
	if at.Sub(r.At) > 3*time.Second {
		return reading{}
	}
	return r
}
