package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// User is known by a text that may look like a number.
type User struct{ ID string }

// introspected is a server.Wrapper that sees who asks for services.
type introspected struct {
	server.BaseWrapper
	asked  atomic.Int64
	answer func(ctx context.Context) error // nil: as always
}

// WrapHandleRequest implements server.Wrapper.
func (w *introspected) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		if req.ServiceName+"."+req.MethodName == protocol.MethodServices {
			w.asked.Add(1)
			if w.answer != nil {
				if err := w.answer(ctx); err != nil {
					return err
				}
			}
		}
		return next(ctx, req, res)
	}
}

// newCrowded returns a gateway alone to a provider with so many methods that its
// registration has no room for what it says of Users and Zones. Those of Users are
// text, those of Zones numbers.
func newCrowded(t *testing.T, w *introspected) *gateway.Gateway {
	t.Helper()
	network, list := transport.NewMemNetwork(), memory.NewRegistry("crowd")
	s, err := server.NewSGServer(&server.Option{Mem: network, Registry: list, Wrappers: []server.Wrapper{w}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if err := errors.Join(
			server.Handle(s, fmt.Sprintf("Padding.Large%d", i), func(_ context.Context, o *Order) (*Order, error) { return o, nil }),
			server.Handle(s, fmt.Sprintf("Padding.Small%d", i), func(_ context.Context, u *User) (*User, error) { return u, nil }),
		); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		server.Handle(s, "Users.Get", func(_ context.Context, u *User) (*User, error) { return u, nil }),
		server.Handle(s, "Zones.Get", func(_ context.Context, o *Operands) (*Sum, error) { return &Sum{o.A}, nil }),
	); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("mem", "crowd", nil) }()
	<-s.Listening()
	op := client.DefaultSGOption
	op.Registry, op.AllowLocal, op.Mem, op.RequestTimeout = list, true, network, 10*time.Second
	c, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), s.Close(), <-served); !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
	})
	g, err := gateway.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Bind("GET /users/{id}", "Users.Get"), g.Bind("GET /zones/{a}", "Zones.Get")); err != nil {
		t.Fatal(err)
	}
	return g
}

// What does not fit into a registration is asked for, and remembered for a while.
func TestTypesThatARegistryHasNoRoomFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(introspected)
		g := newCrowded(t, w)
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				expect(t, serve(g, get("/users/12345")), http.StatusOK, `{"ID":"12345"}`)
				expect(t, serve(g, get("/zones/12345")), http.StatusOK, `{"C":12345}`)
			})
		}
		callers.Wait()
		if w.asked.Load() != 1 {
			t.Errorf("asked %d times", w.asked.Load())
		}
		w.answer = func(context.Context) error { return protocol.NewError(protocol.Unavailable, "not now") }
		time.Sleep(time.Minute) // what was known is what is best known
		expect(t, serve(g, get("/users/12345")), http.StatusOK, `{"ID":"12345"}`)
		expect(t, serve(g, get("/users/12345")), http.StatusOK, `{"ID":"12345"}`)
		if w.asked.Load() != 2 {
			t.Errorf("asked %d times", w.asked.Load())
		}
	})
}

// A provider that tells nobody is asked now and then, and numbers are guessed.
func TestProvidersThatDoNotTellTheirTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &introspected{answer: func(context.Context) error { return protocol.NewError(protocol.PermissionDenied, "not for you") }}
		g := newCrowded(t, w)
		for range 5 {
			for range 10 {
				expect(t, serve(g, get("/zones/7")), http.StatusOK, `{"C":7}`)
				expect(t, serve(g, get("/users/ada")), http.StatusOK, `{"ID":"ada"}`)
			}
			time.Sleep(2 * time.Second)
		}
		if w.asked.Load() != 5 {
			t.Errorf("asked %d times in 10 s", w.asked.Load())
		}
		w.answer = nil
		expect(t, serve(g, get("/users/12345")), http.StatusOK, `{"ID":"12345"}`)
	})
}

// One that does not answer takes half of a request's time, and 2 s, at most.
func TestProvidersThatAreSlowToTellTheirTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newCrowded(t, &introspected{answer: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		for timeout, took := range map[string]time.Duration{"": 2 * time.Second, "1s": 500 * time.Millisecond} {
			begun := time.Now()
			r := get("/zones/7")
			if timeout != "" {
				r.Header.Set("Timeout", timeout)
			}
			expect(t, serve(g, r), http.StatusOK, `{"C":7}`)
			if waited := time.Since(begun); waited < took || waited > took+100*time.Millisecond {
				t.Errorf("with Timeout %q it took %v, want %v", timeout, waited, took)
			}
			time.Sleep(time.Minute)
		}
	})
}

// Who waits for what another asks waits no longer than for a question of its own.
func TestCallersDoNotOutwaitTheQuestionsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newCrowded(t, &introspected{answer: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		var patient sync.WaitGroup
		patient.Go(func() { expect(t, serve(g, get("/zones/7")), http.StatusOK, `{"C":7}`) })
		synctest.Wait()
		begun, r := time.Now(), get("/zones/8")
		r.Header.Set("Timeout", "100ms")
		expect(t, serve(g, r), http.StatusOK, `{"C":8}`)
		if took := time.Since(begun); took != 50*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		patient.Wait()
	})
}

// unlisted is a backend that has no list of providers yet.
type unlisted struct{ guessing }

func (unlisted) Services(ctx context.Context) ([]protocol.ServiceInfo, error) {
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second): // of its own
	}
	return nil, protocol.NewError(protocol.Unavailable, "no list yet")
}

func TestAListThatIsSlowTakesHalfOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := gateway.New(unlisted{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Bind("GET /zones/{a}", "Zones.Get"); err != nil {
			t.Fatal(err)
		}
		begun, r := time.Now(), get("/zones/7")
		r.Header.Set("Timeout", "100ms")
		expect(t, serve(g, r), http.StatusOK, `{"a":7}`)
		if took := time.Since(begun); took != 50*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// One that has had its time and did not answer is left alone for a moment, by all.
func TestProvidersThatDoNotAnswerAreNotWaitedForByEach(t *testing.T) {
	for _, timeout := range []string{"1s", "400ms"} {
		t.Run(timeout, func(t *testing.T) { unansweredInquiry(t, timeout) })
	}
}

func unansweredInquiry(t *testing.T, timeout string) {
	synctest.Test(t, func(t *testing.T) {
		w := &introspected{answer: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		g := newCrowded(t, w)
		for range 3 {
			r := get("/zones/7")
			r.Header.Set("Timeout", timeout)
			expect(t, serve(g, r), http.StatusOK, `{"C":7}`)
		}
		if w.asked.Load() != 1 {
			t.Errorf("asked %d times", w.asked.Load())
		}
	})
}

// lateList is a backend whose list of providers comes late, and without types: those
// are told when they are asked for.
type lateList struct{ guessing }

func (lateList) Services(ctx context.Context) ([]protocol.ServiceInfo, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Second):
		return nil, nil
	}
}

func (b lateList) Do(ctx context.Context, m *protocol.Message) (*protocol.Message, error) {
	if m.ServiceName+"."+m.MethodName != protocol.MethodServices {
		return b.guessing.Do(ctx, m)
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(100 * time.Millisecond):
	}
	out := m.Clone()
	var err error
	out.Body, err = json.Marshal(protocol.ServiceList{Services: []protocol.ServiceInfo{
		{Name: "Users", Methods: []protocol.MethodInfo{{Name: "Get", RequestSchema: `{"type":"object","properties":{"id":{"type":"string"}}}`}}},
	}})
	return out, err
}

// Who had no time to ask, or not enough, knows nothing of the provider: the next one asks.
func TestImpatientCallersDoNotKeepOthersFromAsking(t *testing.T) {
	for name, timeout := range map[string]string{"the list took it all": "1s", "too little was left": "2.1s"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range 20 { // whose time is over may have its turn yet, or not
					g, err := gateway.New(lateList{}, nil)
					if err != nil {
						t.Fatal(err)
					}
					if err := g.Bind("GET /users/{id}", "Users.Get"); err != nil {
						t.Fatal(err)
					}
					r := get("/users/7")
					r.Header.Set("Timeout", timeout)
					expect(t, serve(g, r), http.StatusOK, `{"id":7}`) // guessed
					expect(t, serve(g, get("/users/7")), http.StatusOK, `{"id":"7"}`)
				}
			})
		})
	}
}
