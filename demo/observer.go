package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/internal/histogram"
	"github.com/sinew-rpc/sinew/protocol"
)

// tally counts calls, or the attempts at one provider. All of it may be
// used concurrently.
type tally struct {
	answered, failed atomic.Uint64
	inFlight         atomic.Int64
	latency          histogram.Histogram // of what was answered
}

// run makes a call and counts it.
func (t *tally) run(do func() error) error {
	t.inFlight.Add(1)
	begun := time.Now()
	err := do()
	took := time.Since(begun)
	t.inFlight.Add(-1)
	if err != nil {
		t.failed.Add(1)
		return err
	}
	t.answered.Add(1)
	t.latency.Record(took)
	return nil
}

// observer is a client's wrapper that measures every call, and every attempt by
// provider. The zero value is ready; it may be read while the client runs.
type observer struct {
	calls     tally
	moves     atomic.Uint64 // attempts that met a provider gone or leaving, and did not run
	unsure    atomic.Uint64 // attempts that had no answer, and may have run
	failures  failures
	providers sync.Map // of provider key to *tally
}

var (
	_ client.Wrapper        = (*observer)(nil)
	_ client.AttemptWrapper = (*observer)(nil)
)

// WrapCall implements client.Wrapper.
func (o *observer) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc {
	return func(ctx context.Context, serviceMethod string, req, resp any) error {
		err := o.calls.run(func() error { return next(ctx, serviceMethod, req, resp) })
		if err != nil {
			o.failures.add(err)
		}
		return err
	}
}

// WrapAttempt implements client.AttemptWrapper.
func (o *observer) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	return func(ctx context.Context, a *client.Attempt) error {
		err := o.provider(a.Provider.ProviderKey).run(func() error { return next(ctx, a) })
		switch {
		case isMove(err):
			o.moves.Add(1)
		case err != nil && protocol.OutcomeOf(err) == protocol.MaybeRun:
			o.unsure.Add(1)
		}
		return err
	}
}

// isMove reports whether an attempt certainly reached no method, because its
// provider was gone or leaving: the client then turns to another one.
func isMove(err error) bool {
	if protocol.IsDraining(err) {
		return protocol.OutcomeOf(err) == protocol.Refused
	}
	return protocol.CodeOf(err) == protocol.Unavailable && protocol.OutcomeOf(err) == protocol.NotSent
}

// provider returns the tally of one provider.
func (o *observer) provider(key string) *tally {
	if t, ok := o.providers.Load(key); ok {
		return t.(*tally)
	}
	t, _ := o.providers.LoadOrStore(key, new(tally))
	return t.(*tally)
}

// keys returns the providers that were called, sorted.
func (o *observer) keys() []string {
	var keys []string
	o.providers.Range(func(key, _ any) bool {
		keys = append(keys, key.(string))
		return true
	})
	slices.SortFunc(keys, strings.Compare)
	return keys
}
