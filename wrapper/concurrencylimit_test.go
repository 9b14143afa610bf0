package wrapper_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
	"github.com/sinew-rpc/sinew/wrapper"
)

// Desk works on four requests at one time, 10 ms each.
type Desk struct{ seats chan struct{} }

func (d Desk) Work(context.Context, *Word, *Word) error {
	d.seats <- struct{}{}
	time.Sleep(10 * time.Millisecond)
	<-d.seats
	return nil
}

// News waits for the caller to lose patience.
func (Desk) News(ctx context.Context, _, _ *Word) error {
	<-ctx.Done()
	return ctx.Err()
}

func (Desk) Panic(context.Context, *Word, *Word) error { panic("spilt ink") }

// deskBehind is a server of a Desk behind wrappers, and a client of it.
func deskBehind(t *testing.T, wrappers ...server.Wrapper) client.RPCClient {
	t.Helper()
	network := transport.NewMemNetwork()
	s, err := server.NewSGServer(&server.Option{Wrappers: wrappers, Mem: network})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register(Desk{make(chan struct{}, 4)}); err != nil {
		t.Fatal(err)
	}
	serveWords(t, s)
	return clientOf(t, network, "")
}

// hurry calls Desk.Work every gap for a span, and returns how many calls were
// answered within their 100 ms.
func hurry(t *testing.T, c client.RPCClient, gap, span time.Duration, options ...client.CallOption) int {
	var answered atomic.Int64
	var all sync.WaitGroup
	ctx := client.With(t.Context(), options...)
	for begun := time.Now(); time.Since(begun) < span; time.Sleep(gap) {
		all.Go(func() {
			call, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			if c.Call(call, "Desk.Work", &Word{}, nil) == nil {
				answered.Add(1)
			}
		})
	}
	all.Wait()
	return int(answered.Load())
}

// Four seats serve 400 a second, and four times as many come: without a limit
// hardly any is answered in time, with it as many as the seats serve.
func TestConcurrencyLimitKeepsGoodput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const span, perSecond, peak = 2 * time.Second, 1600, 2 * 400
		without := hurry(t, deskBehind(t), time.Second/perSecond, span)
		limit := &wrapper.ConcurrencyLimit{}
		with := hurry(t, deskBehind(t, limit), time.Second/perSecond, span)
		t.Logf("%d answered without a limit, %d with it: %+v", without, with, limit.Stats())
		if without > peak/5 {
			t.Errorf("%d answered without a limit: that is no overload", without)
		}
		if with < peak*9/10 {
			t.Errorf("%d answered with a limit, want %d", with, peak*9/10)
		}
		if s := limit.Stats(); s.Limit < 4 || s.Limit > 20 || s.Running != 0 || s.Refused == 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestLowPriorityIsRefusedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deskBehind(t, &wrapper.ConcurrencyLimit{})
		const span, sent = 2 * time.Second, 2 * 200
		var low sync.WaitGroup
		low.Go(func() { hurry(t, c, time.Second/1000, span, client.Priority(-1)) })
		defer low.Wait()
		if n := hurry(t, c, time.Second/200, span, client.Priority(1)); n < sent*95/100 {
			t.Errorf("%d of %d calls of high priority were answered", n, sent)
		}
	})
}

// The server does not have to believe its clients.
func TestPriorityByTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := &wrapper.ConcurrencyLimit{Priority: func(_ context.Context, h *protocol.Header) int {
			if h.MetaData["tenant"] == "gold" {
				return 100 // is cut
			}
			return -100
		}}
		c := deskBehind(t, limit)
		const span, sent = 2 * time.Second, 2 * 200
		var low sync.WaitGroup
		low.Go(func() { hurry(t, c, time.Second/1000, span, client.Priority(8)) })
		defer low.Wait()
		gold := protocol.WithMeta(t.Context(), "tenant", "gold")
		var good atomic.Int64
		var all sync.WaitGroup
		for begun := time.Now(); time.Since(begun) < span; time.Sleep(time.Second / 200) {
			all.Go(func() {
				if c.Call(gold, "Desk.Work", &Word{}, nil) == nil {
					good.Add(1)
				}
			})
		}
		all.Wait()
		if n := good.Load(); n < sent*95/100 {
			t.Errorf("%d of %d gold calls were answered", n, sent)
		}
	})
}

func TestARefusalByTheConcurrencyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := &wrapper.ConcurrencyLimit{Initial: 2, Max: 2}
		c := deskBehind(t, limit)
		var calls [3]*client.Call
		for i := range calls {
			calls[i] = c.Go(t.Context(), "Desk.Work", &Word{}, nil, nil)
			synctest.Wait()
		}
		var e *protocol.Error
		if err := (<-calls[2].Done).Error; !errors.As(err, &e) || e.Code != protocol.ResourceExhausted ||
			protocol.OutcomeOf(err) != protocol.Refused || !e.Elsewhere || e.RetryAfter <= 0 {
			t.Errorf("%+v", e)
		}
		if s := limit.Stats(); s.Running != 2 || s.Limit != 2 || s.Refused != 1 {
			t.Errorf("%+v", s)
		}
		for _, call := range calls[:2] {
			if err := (<-call.Done).Error; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestWhatTheConcurrencyLimitDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := &wrapper.ConcurrencyLimit{Initial: 1, Max: 1, Exempt: []string{"Desk.News"}}
		c := deskBehind(t, limit)
		for range 5 {
			c.Go(t.Context(), "Desk.News", &Word{}, nil, nil)
		}
		synctest.Wait()
		if s := limit.Stats(); s.Running != 0 {
			t.Errorf("%+v", s)
		}
		for range 3 { // what a panic leaves
			if err := c.Call(t.Context(), "Desk.Panic", &Word{}, nil); protocol.CodeOf(err) != protocol.Internal {
				t.Errorf("%v", err)
			}
		}
		if err := c.Call(t.Context(), "Desk.Work", &Word{}, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestAConcurrencyLimitAllocatesNothing(t *testing.T) {
	limit := &wrapper.ConcurrencyLimit{}
	ctx, req := context.Background(), &protocol.Message{Header: protocol.Header{ServiceName: "Desk", MethodName: "Work"}}
	req.MetaData = map[string]string{protocol.MetaPriority: "-3"}
	next := limit.WrapHandleRequest(nil, func(context.Context, *protocol.Message, *protocol.Message) error { return nil })
	if allocs := testing.AllocsPerRun(100, func() {
		_ = limit.Admit(ctx, &req.Header, 0)
		_ = next(ctx, req, nil)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
