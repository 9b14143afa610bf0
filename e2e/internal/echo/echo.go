// Package echo is the service that the end-to-end tests call.
package echo

import (
	"context"
	"sync"
	"time"

	"github.com/sinew-rpc/sinew/protocol"
)

// Body is sent, and mostly comes back.
type Body struct {
	ID   int64
	Data []byte
}

// Echo is the service. Its zero value is ready; methods may run concurrently.
type Echo struct {
	mu sync.Mutex
	// Guarded by mu:
	ran map[int64]int
}

// Say answers with what it was sent.
func (*Echo) Say(_ context.Context, req, res *Body) error {
	*res = *req
	return nil
}

// Note is Say, and counts how often it ran with this ID.
func (e *Echo) Note(_ context.Context, req, res *Body) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ran == nil {
		e.ran = make(map[int64]int)
	}
	e.ran[req.ID]++
	*res = *req
	return nil
}

// Ran returns how often Note ran with this ID.
func (e *Echo) Ran(id int64) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ran[id]
}

// Count answers with how often Note ran with this ID.
func (e *Echo) Count(_ context.Context, req, res *Body) error {
	res.ID = int64(e.Ran(req.ID))
	return nil
}

// Sleep is Note after ID milliseconds, or fails when its context ends before.
func (e *Echo) Sleep(ctx context.Context, req, res *Body) error {
	t := time.NewTimer(time.Duration(req.ID) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return e.Note(ctx, req, res)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Hang counts as Note, and waits for its context to end.
func (e *Echo) Hang(ctx context.Context, req, res *Body) error {
	if err := e.Note(ctx, req, res); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// Panic panics.
func (*Echo) Panic(context.Context, *Body, *Body) error { panic("on purpose") }

// Fail fails with a code of its own.
func (*Echo) Fail(context.Context, *Body, *Body) error {
	return protocol.NewError(protocol.NotFound, "no such thing")
}
