package server_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

// exiting is a wrapper that ends the goroutine of one method.
type exiting struct{ server.BaseWrapper }

func (exiting) WrapHandleRequest(_ *server.SGServer, next server.HandleRequestFunc) server.HandleRequestFunc {
	return func(ctx context.Context, req, res *protocol.Message) error {
		if req.MethodName == "Wrapped" {
			runtime.Goexit()
		}
		return next(ctx, req, res)
	}
}

// A method or wrapper that ends its goroutine, as FailNow of a test does, costs its
// own call alone: it is answered, its context ends, and its room is given back.
func TestGoexitIsAnswered(t *testing.T) {
	for name, wrappers := range map[string][]server.Wrapper{"plain": nil, "wrapped": {exiting{}}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mem := on(t, server.Option{Wrappers: wrappers})
				contexts := make(chan context.Context, 10)
				exit := func(ctx context.Context, _ *AddRequest) (*AddReply, error) {
					contexts <- ctx
					runtime.Goexit()
					return nil, nil
				}
				for _, method := range []string{"Exit.Now", "Exit.Wrapped"} {
					if err := server.Handle(s, method, exit); err != nil {
						t.Fatal(err)
					}
				}
				running(t, s)
				c := dial(t, mem, nil)
				for range 5 {
					wantError(t, c.call(t.Context(), "Exit", "Now", &AddRequest{}, nil), protocol.Internal, protocol.Ran)
					synctest.Wait()
					if ctx := <-contexts; ctx.Err() == nil {
						t.Error("its context has not ended")
					}
				}
				if wrappers != nil {
					wantError(t, c.call(t.Context(), "Exit", "Wrapped", &AddRequest{}, nil), protocol.Internal, protocol.Refused)
				}
				c.add(t)
				synctest.Wait()
				if n := s.Stats().RequestsInFlight; n != 0 {
					t.Errorf("%d requests in flight", n)
				}
			})
		})
	}
}
