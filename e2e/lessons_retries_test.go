package e2e

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/e2e/internal/echo"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/selector"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// Each test here is named by an accident that users of RPC frameworks reported:
// with deadlines, retries and hedging.

// shop is an application of two providers in memory whose method Shop.Pay is
// what a test needs.
type shop struct {
	network  *transport.MemNetwork
	registry *memory.Registry
	accepted atomic.Int32 // connections
	paid     [2]atomic.Int32
	gaveUp   [2]atomic.Int32 // whose context ended
}

// openShop starts the providers. pay is the method, told which of them runs it.
func openShop(t *testing.T, pay func(ctx context.Context, provider int) error) *shop {
	s := &shop{network: transport.NewMemNetwork(), registry: memory.NewRegistry("")}
	for i, addr := range []string{"first", "second"} {
		ln, err := s.network.Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		srv := newServer(t, server.Option{}, new(echo.Echo))
		err = server.Handle(srv, "Shop.Pay", func(ctx context.Context, _ *echo.Body) (*echo.Body, error) {
			s.paid[i].Add(1)
			if err := pay(ctx, i); err != nil {
				if ctx.Err() != nil {
					s.gaveUp[i].Add(1)
				}
				return nil, err
			}
			return &echo.Body{ID: int64(i)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		go srv.ServeListener(countedListener{ln, &s.accepted}, nil)
		<-srv.Listening()
		t.Cleanup(func() { _ = srv.Close() }) // what was running is no matter here
		p := registry.Provider{Network: "mem", Addr: addr}
		if err := s.registry.Register(t.Context(), registry.RegisterOption{}, p); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// client returns one whose calls begin at the first provider.
func (s *shop) client(t *testing.T, change func(*client.SGOption)) client.SGClient {
	op := client.DefaultSGOption
	op.Mem, op.Selector = s.network, firstOf{}
	if change != nil {
		change(&op)
	}
	return governed(t, s.registry, op)
}

// times returns how often each provider was paid.
func (s *shop) times() [2]int32 { return [2]int32{s.paid[0].Load(), s.paid[1].Load()} }

func slow(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var again = client.With(context.Background(), client.Idempotent())

// rpcx #522, #870: an attempt that is given up ends at its provider, which does
// not work on for nobody.
func TestAnAttemptThatIsGivenUpEndsAtItsProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, func(ctx context.Context, provider int) error {
			if provider == 0 {
				return slow(ctx, time.Hour)
			}
			return nil
		})
		c := s.client(t, func(op *client.SGOption) {
			op.FailMode, op.AttemptTimeout = client.FailOver, 50*time.Millisecond
		})
		begun := time.Now()
		res, err := client.Invoke[echo.Body](again, c, "Shop.Pay", new(echo.Body))
		if err != nil || res.ID != 1 || time.Since(begun) > 100*time.Millisecond {
			t.Errorf("%v, %v after %v", res, err, time.Since(begun))
		}
		synctest.Wait()
		if s.gaveUp[0].Load() != 1 {
			t.Error("the first provider works on for nobody")
		}
	})
}

// kratos #2270, #1525: no hidden timeout of 2 s beats the 30 s of the caller's
// context.
func TestNoHiddenTimeoutBeatsTheCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, func(ctx context.Context, _ int) error { return slow(ctx, 29*time.Second) })
		c := s.client(t, func(op *client.SGOption) {
			op.FailMode, op.RequestTimeout, op.AttemptTimeout = client.FailOver, -1, -1
		})
		ctx, cancel := context.WithTimeout(again, 30*time.Second)
		defer cancel()
		if err := c.Call(ctx, "Shop.Pay", new(echo.Body), nil); err != nil {
			t.Error(err)
		}
	})
}

// drpc #37: cancelling an attempt is a frame, and keeps the connection of all.
func TestCancellingAnAttemptKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, func(ctx context.Context, provider int) error {
			return slow(ctx, map[int]time.Duration{0: time.Minute}[provider])
		})
		c := s.client(t, func(op *client.SGOption) {
			op.FailMode, op.HedgeDelay, op.RetryBudget = client.FailOver, 10*time.Millisecond, -1
		})
		bystander := c.Go(client.With(context.Background(), client.Key("x")), "Echo.Sleep", &echo.Body{ID: 500}, nil, nil)
		for range 20 {
			if err := c.Call(client.With(context.Background(), client.Hedge()), "Shop.Pay", new(echo.Body), nil); err != nil {
				t.Error(err)
			}
		}
		if <-bystander.Done; bystander.Error != nil {
			t.Errorf("a call beside those that were cancelled: %v", bystander.Error)
		}
		if s.gaveUp[0].Load() != 20 || s.accepted.Load() != 2 {
			t.Errorf("%d cancelled, over %d connections", s.gaveUp[0].Load(), s.accepted.Load())
		}
	})
}

// go-micro #2702, #431, micro #186, #196: what may have run is not run again,
// unless the method was said to bear it.
func TestNothingIsPaidTwice(t *testing.T) {
	for name, change := range map[string]func(*client.SGOption){
		"by default": nil,
		"FailOver":   func(op *client.SGOption) { op.FailMode, op.Retries = client.FailOver, 5 },
		"FailRetry":  func(op *client.SGOption) { op.FailMode, op.Retries = client.FailRetry, 5 },
	} {
		t.Run(name, func(t *testing.T) {
			for _, fails := range []string{"says Unavailable", "loses its connection", "is late"} {
				synctest.Test(t, func(t *testing.T) {
					var s *shop
					s = openShop(t, func(ctx context.Context, _ int) error {
						switch fails {
						case "loses its connection":
							s.network.CutAll()
						case "is late":
							return slow(ctx, time.Minute)
						}
						return protocol.NewError(protocol.Unavailable, "paid, but the receipt is lost")
					})
					err := s.client(t, change).Call(context.Background(), "Shop.Pay", new(echo.Body), nil)
					if err == nil || s.times() != [2]int32{1, 0} {
						t.Errorf("a provider that %s: paid %v times, %v", fails, s.times(), err)
					}
				})
			}
		})
	}
}

// go-micro #2133: a business error is an answer, and not tried again until the
// timeout.
func TestABusinessErrorIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, func(context.Context, int) error { return errors.New("card refused") })
		c := s.client(t, func(op *client.SGOption) { op.FailMode, op.Retries = client.FailOver, 5 })
		begun := time.Now()
		err := c.Call(again, "Shop.Pay", new(echo.Body), nil)
		wantError(t, err, protocol.Unknown, protocol.Ran)
		if s.times() != [2]int32{1, 0} || time.Since(begun) != 0 {
			t.Errorf("paid %v times in %v", s.times(), time.Since(begun))
		}
	})
}

// rpcx #806, #827: a service can ask for another provider.
func TestAHandlerSendsACallElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, func(_ context.Context, provider int) error {
			if provider == 0 {
				return &protocol.Error{Code: protocol.FailedPrecondition, Message: "not my shard", Elsewhere: true}
			}
			return nil
		})
		for _, mode := range []client.FailMode{client.FailOver, client.FailRetry} {
			c := s.client(t, func(op *client.SGOption) { op.FailMode = mode })
			res, err := client.Invoke[echo.Body](again, c, "Shop.Pay", new(echo.Body))
			if err != nil || res.ID != 1 {
				t.Errorf("%v: %v, %v", mode, res, err)
			}
		}
	})
}

// grpc-go #2823: hedging exists, and keeps to a budget, so that it does not double
// the load of providers that are all slow.
func TestHedgesDoNotDoubleTheLoadOfAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, func(ctx context.Context, _ int) error { return slow(ctx, 100*time.Millisecond) })
		c := s.client(t, func(op *client.SGOption) {
			op.FailMode, op.HedgeDelay, op.Hedged = client.FailOver, 10*time.Millisecond, []string{"Shop.*"}
		})
		for range 90 { // nine seconds
			if err := c.Call(context.Background(), "Shop.Pay", new(echo.Body), nil); err != nil {
				t.Error(err)
			}
		}
		if n := s.times(); n[0] != 90 || n[1] != 18 {
			t.Errorf("paid %v times, want one more for each fifth call", n)
		}
	})
}

// firstOf chooses the first provider that a call may go to, by address.
type firstOf struct{}

func (firstOf) New() selector.Selector { return firstOf{} }

func (firstOf) Pick(_ context.Context, _ selector.PickInfo, nodes []*selector.Node) *selector.Node {
	if len(nodes) == 0 {
		return nil
	}
	return slices.MinFunc(nodes, func(a, b *selector.Node) int { return cmp.Compare(a.Provider.Addr, b.Provider.Addr) })
}
