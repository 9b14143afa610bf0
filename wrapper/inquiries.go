package wrapper

import (
	"context"
	"sync"

	"github.com/sinew-rpc/sinew/protocol"
)

// inquiries have each question asked once at a time, whoever waits for the
// answer. The zero value is ready.
type inquiries struct {
	mu sync.Mutex
	// Guarded by mu:
	running map[verdictKey]*inquiry
}

// inquiry is a question that is being asked.
type inquiry struct {
	done chan struct{} // closed when the rest is set
	v    *verdict
	err  error
	own  bool // err is of the context of who asked: it says nothing to others
}

// ask returns what find answers for k, to this call or to one that came before
// and has not ended. find runs on the goroutine of one of them, and may panic
// there.
func (q *inquiries) ask(ctx context.Context, k verdictKey, find func() (*verdict, error)) (*verdict, error) {
	for {
		running, first := q.join(k)
		if first {
			return q.lead(ctx, k, running, find)
		}
		select {
		case <-running.done:
		case <-ctx.Done():
			return nil, protocol.NewError(protocol.CodeOf(ctx.Err()), "the request ended while its token was checked")
		}
		if !running.own {
			return running.v, running.err
		}
	}
}

// join returns the inquiry about k; first when this call is to make it.
func (q *inquiries) join(k verdictKey) (running *inquiry, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if running := q.running[k]; running != nil {
		return running, false
	}
	if q.running == nil {
		q.running = make(map[verdictKey]*inquiry)
	}
	running = &inquiry{done: make(chan struct{}), own: true}
	q.running[k] = running
	return running, true
}

// lead makes the inquiry. After a panic the others ask for themselves.
func (q *inquiries) lead(ctx context.Context, k verdictKey, running *inquiry, find func() (*verdict, error)) (*verdict, error) {
	defer func() {
		q.mu.Lock()
		delete(q.running, k)
		q.mu.Unlock()
		close(running.done)
	}()
	v, err := find()
	running.v, running.err = v, err
	running.own = err != nil && ctx.Err() != nil
	return v, err
}
