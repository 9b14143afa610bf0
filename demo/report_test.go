package main

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/internal/histogram"
)

func TestReportsTellOfTheTimeBetweenThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(observer)
		r := newReporter(o, 8*time.Second, func(key string) standing { return standing{state: "state of " + key} })
		call := func(n int, took time.Duration, err error) {
			for range n {
				do := func() error { time.Sleep(took); return err }
				_ = o.calls.run(func() error { return o.provider("tcp@a:1").run(do) })
			}
		}
		call(4, 500*time.Millisecond, nil) // two seconds
		first := r.report()
		call(1, 1*time.Second, nil)
		call(1, 1*time.Second, errors.New("failed"))
		second := r.report()
		whole := r.overall()

		for _, c := range []struct {
			name      string
			got       report
			elapsed   time.Duration
			perSecond float64
			answered  uint64
			failed    uint64
			p50       time.Duration
		}{
			{"first", first, 2 * time.Second, 2, 4, 0, 500 * time.Millisecond},
			{"second", second, 4 * time.Second, 0.5, 5, 1, time.Second},
			{"overall", whole, 4 * time.Second, 1.25, 5, 1, 500 * time.Millisecond},
		} {
			if c.got.elapsed != c.elapsed || c.got.duration != 8*time.Second || len(c.got.rows) != 1 {
				t.Errorf("%s: %+v", c.name, c.got)
				continue
			}
			provider, all := c.got.rows[0], c.got.all
			if provider.name != "a:1" || provider.state != "state of tcp@a:1" || all.name != allCalls {
				t.Errorf("%s: rows %+v and %+v", c.name, provider, all)
			}
			for _, line := range []row{provider, all} {
				if line.perSecond != c.perSecond || line.answered != c.answered || line.failed != c.failed {
					t.Errorf("%s: %+v, want %v a second, %d answered, %d failed", c.name, line, c.perSecond, c.answered, c.failed)
				}
				if line.p50 < c.p50 || line.p50 > c.p50+c.p50/histogram.Precision {
					t.Errorf("%s: median %v, want %v", c.name, line.p50, c.p50)
				}
			}
		}
	})
}
