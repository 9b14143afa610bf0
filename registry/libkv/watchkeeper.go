package libkv

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/docker/libkv/store"

	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/internal/log"
)

// watchLives is how long a watch must have lived for its end to be no reason to
// wait longer and longer before the next.
const watchLives = 5 * time.Second

// watchKeeper keeps a watch on the parent armed. A watch is a hint: its end says
// "read again", never "nobody is there". run is one goroutine's; the other
// methods are the reader's.
type watchKeeper struct {
	g      *guard
	parent string
	hint   func()
	count  func(func(*ReaderStats))

	suspected bool   // the reader's: it found a change that no hint had told
	hintsThen uint64 // how many had come before that change

	mu sync.Mutex
	// Guarded by mu.
	hints uint64
	rearm context.CancelFunc // ends the watch that is armed; nil: none is
}

// run arms watches until ctx ends, or the store says that it has none.
func (k *watchKeeper) run(ctx context.Context) {
	pause := backoff.Backoff{Policy: backoff.Policy{Initial: 200 * time.Millisecond}}
	for ctx.Err() == nil {
		armed := time.Now()
		err := k.watchOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrCallNotSupported):
			return // polls do without
		case errors.Is(err, store.ErrKeyNotFound):
			err = k.createParent(ctx)
		}
		if time.Since(armed) >= watchLives {
			pause.Reset()
		}
		log.V(1).Infof("libkv: the watch on %s ended and is armed again: %v", k.parent, err)
		k.count(func(s *ReaderStats) { s.Rearmed++ })
		if pause.Wait(ctx) != nil {
			return
		}
	}
}

func (k *watchKeeper) watchOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k.setRearm(cancel)
	defer k.setRearm(nil)
	err := k.g.watch(ctx, k.parent, k.heard)
	if !errors.Is(err, store.ErrCallNotSupported) && !errors.Is(err, store.ErrKeyNotFound) {
		k.hint() // what happened while nothing was armed is not known
	}
	return err
}

func (k *watchKeeper) setRearm(cancel context.CancelFunc) {
	k.mu.Lock()
	k.rearm = cancel
	k.mu.Unlock()
}

func (k *watchKeeper) heard() {
	k.mu.Lock()
	k.hints++
	k.mu.Unlock()
	k.hint()
}

// createParent makes what a watch can be armed on: some stores have none on a
// key that is missing.
func (k *watchKeeper) createParent(ctx context.Context) error {
	err := k.g.create(ctx, k.parent, lastUpdate{stamp: newStamp()}.encode())
	if errors.Is(err, store.ErrKeyExists) {
		return nil
	}
	return err
}

func (k *watchKeeper) hintsSoFar() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.hints
}

// suspect notes that the parent moved, and how many hints had come before it did.
func (k *watchKeeper) suspect(hints uint64) { k.suspected, k.hintsThen = true, hints }

// convict ends the watch when no hint has come since that change: it has gone
// silent, and run arms another. The reader asks a moment after suspect, so
// that a hint under way can arrive.
func (k *watchKeeper) convict() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.suspected
	k.suspected = false
	if !was || k.hints != k.hintsThen || k.rearm == nil {
		return false
	}
	k.rearm()
	return true
}
