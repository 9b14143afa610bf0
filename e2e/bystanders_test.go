package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
)

// bystanders are well-behaved callers that call all the time while the server
// is under attack, and must notice nothing.
type bystanders struct {
	stop    chan struct{}
	pause   time.Duration
	callers sync.WaitGroup

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

// watch starts n callers, on a connection for every four of them, each of which
// makes up to a hundred calls a second.
func watch(t *testing.T, addr string, n int) *bystanders {
	t.Helper()
	return watchEvery(t, addr, n, 10*time.Millisecond)
}

// watchEvery is watch for callers with another pause between two calls.
func watchEvery(t *testing.T, addr string, n int, pause time.Duration) *bystanders {
	t.Helper()
	b := &bystanders{stop: make(chan struct{}), pause: pause}
	option := client.DefaultSGOption.Option
	option.RequestTimeout = 10 * time.Second
	for id := 0; id < n; {
		c, err := client.NewRPCClient("tcp", addr, &option)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		for range 4 {
			id++
			own := int64(id)
			b.callers.Go(func() { b.callForEver(c, own) })
		}
	}
	t.Cleanup(func() {
		close(b.stop)
		b.callers.Wait()
	})
	return b
}

func (b *bystanders) callForEver(c client.RPCClient, id int64) {
	pause := time.NewTicker(b.pause)
	defer pause.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-pause.C:
		}
		begun := time.Now()
		var res echoBody
		err := c.Call(context.Background(), "Echo.Echo", &echoBody{ID: id, Data: make([]byte, 100)}, &res)
		if err == nil && res.ID != id {
			err = fmt.Errorf("caller %d got the reply of %d", id, res.ID)
		}
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
