package main

import (
	"fmt"
	"html"
	"strings"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// The plot's measures, in pixels.
const (
	plotWidth, plotHeight = 900, 420
	plotLeft, plotRight   = 60, 180
	plotTop, plotBottom   = 40, 50
)

// plotColours tell rows apart, also to most who do not see all colours (Okabe
// and Ito, 2008).
var plotColours = []string{"#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"}

// axes turn seconds and calls into places.
type axes struct{ seconds, calls float64 }

func (a axes) x(second float64) float64 {
	return plotLeft + second/a.seconds*(plotWidth-plotLeft-plotRight)
}

func (a axes) y(calls float64) float64 {
	return plotHeight - plotBottom - calls/a.calls*(plotHeight-plotTop-plotBottom)
}

// plotOverload draws the good calls of each row in each second.
func plotOverload(o load.Overload, crowds []crowd) string {
	a := axes{seconds: (o.For + 2*o.Calm).Seconds(), calls: 1.15 * float64(load.Capacity)}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		plotWidth, plotHeight, plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	a.frame(&b, o)
	for i, c := range crowds {
		if c.failed == nil {
			a.line(&b, i, c)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// frame draws the axes, the capacity and the time of overload.
func (a axes) frame(b *strings.Builder, o load.Overload) {
	from, to := a.x(o.Calm.Seconds()), a.x((o.Calm + o.For).Seconds())
	fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#f2f2f2"/>`+"\n", from, plotTop, to-from, plotHeight-plotTop-plotBottom)
	plotText(b, (from+to)/2, plotTop-8, "middle", fmt.Sprintf("%d calls a second, %d times what the server answers", load.Capacity*o.Times, o.Times))
	for calls := 0; float64(calls) <= a.calls; calls += 400 {
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ccc"/>`+"\n", plotLeft, plotWidth-plotRight, a.y(float64(calls)), a.y(float64(calls)))
		plotText(b, plotLeft-8, a.y(float64(calls))+4, "end", fmt.Sprint(calls))
	}
	step := max(1, int(a.seconds)/8)
	for second := 0; second <= int(a.seconds); second += step {
		plotText(b, a.x(float64(second)), plotHeight-plotBottom+18, "middle", fmt.Sprint(second))
	}
	plotText(b, a.x(a.seconds/2), plotHeight-12, "middle", "seconds")
	plotText(b, plotLeft, 18, "start", fmt.Sprintf("calls answered within %v, per second", o.Deadline))
}

// line draws one row, and its name in the key.
func (a axes) line(b *strings.Builder, i int, c crowd) {
	colour := plotColours[i%len(plotColours)]
	var points strings.Builder
	for second, s := range c.result.Seconds {
		fmt.Fprintf(&points, "%.1f,%.1f ", a.x(float64(second)+0.5), a.y(float64(s.Good)))
	}
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`+"\n", colour, strings.TrimSpace(points.String()))
	y := float64(plotTop + 20*i)
	fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.0f" y2="%.0f" stroke="%s" stroke-width="3"/>`+"\n", plotWidth-plotRight+14, plotWidth-plotRight+38, y, y, colour)
	plotText(b, plotWidth-plotRight+44, y+4, "start", c.row.Name)
}

func plotText(b *strings.Builder, x, y float64, anchor, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(text))
}
