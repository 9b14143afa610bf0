package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew"
	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
)

// providerCount is how many providers the show begins with.
const providerCount = 3

// stage is the whole system in one process.
type stage struct {
	settings settings
	display  *screen
	registry *memory.Registry
	client   client.SGClient
	observed *observer
	calls    *load

	// Of open, the acts and close, which follow each other:
	providers []*provider
	dead      []*provider // killed, and still to be closed

	mu sync.Mutex
	// Guarded by mu:
	states map[string]string // by provider key, as the table shows them
}

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
	return st.play(ctx)
}

// open starts the registry, the providers and the client, and waits until the
// registry lists all of them.
func (st *stage) open(ctx context.Context, text *book) error {
	st.registry = memory.NewRegistry(defaultApp)
	for range providerCount {
		p, err := startProvider(defaultApp, "127.0.0.1:0", st.registry)
		if err != nil {
			return err
		}
		st.providers = append(st.providers, p)
		st.setState(p.key, "serving")
	}
	if err := awaitProviders(ctx, st.registry, providerCount); err != nil {
		return err
	}
	op := client.DefaultSGOption
	op.AppKey, op.Registry = defaultApp, st.registry
	op.Wrappers = append(op.Wrappers, st.observed)
	c, err := client.NewSGClient(op)
	if err != nil {
		return err
	}
	st.client = c
	st.calls = &load{caller: c, book: text, callers: st.settings.callers}
	return nil
}

// awaitProviders returns when r lists n providers.
func awaitProviders(ctx context.Context, r registry.Registry, n int) error {
	watcher, err := r.Watch()
	if err != nil {
		return err
	}
	defer watcher.Close()
	for {
		snapshot, err := watcher.Next(ctx)
		if err != nil {
			return fmt.Errorf("waiting for %d providers in the registry: %w", n, err)
		}
		if len(snapshot.Providers) >= n {
			return nil
		}
	}
}

// close ends everything that was opened, whatever state it is in.
func (st *stage) close() (err error) {
	if st.client != nil {
		err = st.client.Close()
	}
	for _, p := range append(st.dead, st.providers...) {
		err = errors.Join(err, p.close())
	}
	if st.registry != nil {
		err = errors.Join(err, st.registry.Close())
	}
	return err
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
	if ctx.Err() != nil {
		st.display.say("ended early")
	}
	return errors.Join(actsErr, st.verdict())
}

// state is how a provider stands, for the table.
func (st *stage) state(key string) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.states[key]
}

func (st *stage) setState(key, state string) {
	st.mu.Lock()
	st.states[key] = state
	st.mu.Unlock()
}

// verdict says whether calls failed that did not have to. Those that the killed
// provider had in that moment have to: nobody can tell whether it ran them.
func (st *stage) verdict() error {
	maybe := st.observed.failures.mayHaveRun()
	needless := st.observed.calls.failed.Load() - maybe
	if wrong := st.calls.wrong.Load(); needless > 0 || wrong > 0 {
		return fmt.Errorf("%d calls failed that did not have to, %d replies were wrong", needless, wrong)
	}
	if most := uint64(st.settings.callers); maybe > most {
		return fmt.Errorf("%d calls are MaybeRun, and the killed provider can have had %d at most", maybe, most)
	}
	if maybe == 0 {
		st.display.say("No call failed.")
		return nil
	}
	st.display.say("No call failed that did not have to. The killed provider had %d requests that it had not answered, and nobody\n"+
		"can tell whether it ran them: they ended MaybeRun, for the caller to decide. FailFast calls nothing twice.", maybe)
	return nil
}

// runLoad has calls made for duration (0: until ctx ends) while beside runs with
// a context that ends when the calls do.
func runLoad(ctx context.Context, calls *load, duration time.Duration, beside func(context.Context)) {
	if duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, duration)
		defer stop()
	}
	var besides sync.WaitGroup
	besides.Go(func() { beside(ctx) })
	calls.run(ctx)
	besides.Wait()
}
