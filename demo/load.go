package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/client"
)

const (
	// textEvery is which part of the calls counts words: one in so many.
	textEvery = 16
	// pauseAfterFailure keeps a caller whose provider is gone from asking
	// without end.
	pauseAfterFailure = 20 * time.Millisecond
)

// load calls both services from many goroutines and compares every reply with
// what it must be.
type load struct {
	caller  client.Caller
	book    *book
	callers int

	wrong atomic.Uint64 // replies that were not what they must be
}

// run calls until ctx ends, and returns when the last call was answered: no call
// is given up because the demo ends.
func (l *load) run(ctx context.Context) {
	var callers sync.WaitGroup
	for i := range l.callers {
		callers.Go(func() { l.callUntilDone(ctx, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	callers.Wait()
}

func (l *load) callUntilDone(ctx context.Context, random *rand.Rand) {
	calling := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		right, err := l.one(calling, random)
		switch {
		case err != nil:
			pause(ctx, pauseAfterFailure)
		case !right:
			l.wrong.Add(1)
		}
	}
}

// one makes one call and reports whether its reply is right.
func (l *load) one(ctx context.Context, random *rand.Rand) (right bool, err error) {
	if random.IntN(textEvery) == 0 {
		i := random.IntN(len(l.book.passages))
		reply, err := client.Invoke[wordCount](ctx, l.caller, "TextService.Count", &passage{Text: l.book.passages[i]})
		if err != nil {
			return false, err
		}
		return l.book.take(i, *reply), nil
	}
	in := operands{A: random.Int64N(1 << 31), B: random.Int64N(1 << 31)}
	method, want := "ArithService.Add", in.A+in.B
	if random.IntN(2) == 0 {
		method, want = "ArithService.Multiply", in.A*in.B
	}
	reply, err := client.Invoke[result](ctx, l.caller, method, &in)
	if err != nil {
		return false, err
	}
	return reply.C == want, nil
}

// pause waits for d, or until ctx ends; it reports whether d passed.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
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
