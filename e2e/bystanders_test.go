package e2e

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/transport"
)

// bystanders are well-behaved callers that call all the time while the server
// is under attack, and must notice nothing.
type bystanders struct {
	stop    chan struct{}
	callers sync.WaitGroup
	workers transport.Workers

	mu sync.Mutex
	// Guarded by mu:
	took   []time.Duration // of the calls since the last report
	total  int
	failed []error
}

// echoBody is what they send.
type echoBody struct {
	ID   int64
	Data []byte
}

// watch starts n callers on a connection for every four of them.
func watch(t *testing.T, addr string, n int) *bystanders {
	t.Helper()
	b := &bystanders{stop: make(chan struct{})}
	cfg := &transport.SessionConfig{Workers: &b.workers}
	var session *transport.Session
	for i := range n {
		if i%4 == 0 {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if session, err = transport.NewSession(conn, cfg); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = session.Close() })
		}
		s := session
		b.callers.Go(func() { b.callForEver(s, int64(i)) })
	}
	t.Cleanup(func() {
		close(b.stop)
		b.callers.Wait()
		b.workers.Close()
	})
	return b
}

func (b *bystanders) callForEver(s *transport.Session, id int64) {
	var c endpoint.Caller
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-pause.C:
		}
		ctx := endpoint.Bound(context.Background(), 10*time.Second)
		begun := time.Now()
		var res echoBody
		err := c.Call(ctx, s, "Echo", "Echo", &echoBody{ID: id, Data: make([]byte, 100)}, &res, nil)
		ctx.End()
		b.note(time.Since(begun), err)
	}
}

func (b *bystanders) note(took time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total++
	b.took = append(b.took, took)
	if err != nil {
		b.failed = append(b.failed, err)
	}
}

// report returns what happened since the last one: the slowest percent of the
// calls began at p99, and the slowest took longest.
func (b *bystanders) report() (calls int, p99, longest time.Duration, failed []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	took := b.took
	failed, b.took, b.failed = b.failed, nil, nil
	if len(took) == 0 {
		return 0, 0, 0, failed
	}
	slices.Sort(took)
	return len(took), took[len(took)*99/100], took[len(took)-1], failed
}
