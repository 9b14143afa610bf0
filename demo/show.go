package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/sinew-rpc/sinew"
)

// show plays the whole demo.
func show(ctx context.Context, s settings, out io.Writer) (err error) {
	text, err := openBook(s.file)
	if err != nil {
		return err
	}
	st := &stage{settings: s, display: newScreen(out), observed: new(observer), states: make(map[string]string)}
	sinew.SetLogger(slog.NewTextHandler(st.display, &slog.HandlerOptions{Level: slog.LevelWarn}))
	defer sinew.SetLogger(nil)
	defer func() { err = errors.Join(err, st.close()) }()
	if err := st.open(ctx, text); err != nil {
		return err
	}
	st.display.say("%d providers, %d callers, %v; the text is %s", providerCount, s.callers, s.duration, text.title)
	for _, line := range st.web.lines() {
		st.display.say("%s", line)
	}
	return st.play(ctx)
}

// play calls for the duration while the acts go on, and says what was seen.
func (st *stage) play(ctx context.Context) error {
	reports := newReporter(st.observed, st.settings.duration, st.state)
	var actsErr error
	runLoad(ctx, st.calls, st.settings.duration, func(ctx context.Context) {
		var acting sync.WaitGroup
		acting.Go(func() { actsErr = st.acts(ctx) })
		reports.follow(ctx, st.display)
		acting.Wait()
	})
	st.display.finish(reports.overall())
	for _, line := range summary(st.observed, st.calls, reports) {
		st.display.say("%s", line)
	}
	st.display.say("ran      %s methods, all providers together", grouped(st.ran.served.Load()))
	if ctx.Err() != nil {
		st.display.say("ended early")
	}
	return errors.Join(actsErr, st.verdict())
}

// verdict says whether calls failed that did not have to, or ran twice. Those
// that the killed provider had in that moment have to fail: their caller cannot
// know whether it ran them.
func (st *stage) verdict() error {
	lost := st.observed.failures.lost()
	needless := st.observed.calls.failed.Load() - lost
	if wrong := st.calls.wrong.Load(); needless > 0 || wrong > 0 {
		return fmt.Errorf("%d calls failed that did not have to, %d replies were wrong", needless, wrong)
	}
	if most := uint64(st.settings.callers); lost > most {
		return fmt.Errorf("%d calls were lost, and the killed provider can have had %d at most", lost, most)
	}
	if answered, ran := st.observed.calls.answered.Load(), st.ran.served.Load(); ran < answered || ran > answered+lost {
		return fmt.Errorf("%d methods ran for %d calls that were answered and %d that were lost: a call ran twice, or never", ran, answered, lost)
	}
	if lost == 0 {
		st.display.say("No call failed, and none ran twice.")
		return nil
	}
	st.display.say("No call failed that did not have to, and none ran twice. The killed provider had %d requests that it had not\n"+
		"answered, and their callers cannot know whether it ran them: they ended MaybeRun, and FailFast leaves it at that.", lost)
	return nil
}
