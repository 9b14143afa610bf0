package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/sinew-rpc/sinew"
	"github.com/sinew-rpc/sinew/client"
)

// show plays the whole demo.
func show(ctx context.Context, s settings, out io.Writer) (err error) {
	text, err := openBook(s.file)
	if err != nil {
		return err
	}
	st := &stage{settings: s, display: newScreen(out), observed: new(observer), states: make(map[string]string), seen: make(map[string]client.StateChange)}
	// What the client warns of is told by the stage, in the words of the show.
	sinew.SetLogger(slog.NewTextHandler(st.display, &slog.HandlerOptions{Level: slog.LevelError}))
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
	reports := newReporter(st.observed, st.settings.duration, st.standing)
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

// verdict says whether calls failed, or methods ran that nobody called for. What
// a killed or paused provider had in that moment may have run, and was called
// again elsewhere: its caller cannot know, and the methods are idempotent.
func (st *stage) verdict() error {
	if failed, wrong := st.observed.calls.failed.Load(), st.calls.wrong.Load(); failed > 0 || wrong > 0 {
		return fmt.Errorf("%d calls failed, which none had to, and %d replies were wrong", failed, wrong)
	}
	answered, unsure, ran := st.observed.calls.answered.Load(), st.observed.unsure.Load(), st.ran.served.Load()
	if ran < answered || ran > answered+unsure {
		return fmt.Errorf("%d methods ran for %d calls that were answered and %d attempts that had no answer: one ran without being called, or never", ran, answered, unsure)
	}
	st.display.say("No call failed. %s attempts had no answer, as their provider was paused or killed, and may have run: those\n"+
		"calls were made again elsewhere, since the methods are idempotent. Nothing else ran twice.", grouped(unsure))
	return nil
}
