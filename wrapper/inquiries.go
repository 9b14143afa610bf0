package wrapper

import (
	"context"
	"sync"
)

// inquiries have each question asked once at a time, whoever waits for the
// answer. The zero value is ready.
type inquiries[K comparable, V any] struct {
	mu sync.Mutex
	// Guarded by mu:
	running map[K]*inquiry[V]
}

// inquiry is a question that is being asked.
type inquiry[V any] struct {
	done   chan struct{} // closed when the rest is set
	answer V
	err    error
	own    bool // err is of the context of who asked: it says nothing to others
}

// ask returns what find answers for k, to this call or to one that came before
// and has not ended; or ctx's error where that ends first. find runs on the
// goroutine of one of them, and may panic there.
func (q *inquiries[K, V]) ask(ctx context.Context, k K, find func() (V, error)) (none V, err error) {
	for {
		running, first := q.join(k)
		if first {
			return q.lead(ctx, k, running, find)
		}
		select {
		case <-running.done:
		case <-ctx.Done():
			return none, ctx.Err()
		}
		if !running.own {
			return running.answer, running.err
		}
	}
}

// join returns the inquiry about k; first when this call is to make it.
func (q *inquiries[K, V]) join(k K) (running *inquiry[V], first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if running := q.running[k]; running != nil {
		return running, false
	}
	if q.running == nil {
		q.running = make(map[K]*inquiry[V])
	}
	running = &inquiry[V]{done: make(chan struct{}), own: true}
	q.running[k] = running
	return running, true
}

// lead makes the inquiry. After a panic the others ask for themselves.
func (q *inquiries[K, V]) lead(ctx context.Context, k K, running *inquiry[V], find func() (V, error)) (V, error) {
	defer func() {
		q.mu.Lock()
		delete(q.running, k)
		q.mu.Unlock()
		close(running.done)
	}()
	answer, err := find()
	running.answer, running.err = answer, err
	running.own = err != nil && ctx.Err() != nil
	return answer, err
}
