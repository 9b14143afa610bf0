package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/transport"
)

// meddler does something during the first attempt, which it then has fail.
type meddler struct {
	meddle   func()
	attempts int
}

func (m *meddler) WrapCall(_ *client.SGOption, next client.CallFunc) client.CallFunc { return next }

func (m *meddler) WrapAttempt(_ *client.SGOption, next client.AttemptFunc) client.AttemptFunc {
	return func(ctx context.Context, a *client.Attempt) error {
		m.attempts++
		if m.attempts > 1 {
			return next(ctx, a)
		}
		m.meddle()
		return protocol.Draining("on purpose").WithOutcome(protocol.NotSent)
	}
}

// A provider that was restarted while a call was at its predecessor is another
// provider: the call may go there, though the address is the same. The
// predecessor itself it does not meet twice.
func TestRestartedProviderIsTriedAgain(t *testing.T) {
	for _, c := range []struct {
		name     string
		started  time.Duration // later than the first instance
		attempts int
	}{
		{"restarted", time.Minute, 2},
		{"the same one", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := transport.NewMemNetwork()
				listenMem(t, n, "a")
				r := memory.NewRegistry("")
				list := func(p registry.Provider) {
					if err := r.Register(t.Context(), registry.RegisterOption{}, p); err != nil {
						t.Error(err)
					}
				}
				first := registry.Provider{Network: "mem", Addr: "a", Started: time.Now()}
				list(first)
				m := &meddler{meddle: func() {
					second := first
					second.Started = first.Started.Add(c.started)
					second.Weight = 7
					list(second)
					synctest.Wait()
				}}
				op := client.DefaultSGOption
				op.Registry, op.Mem, op.Wrappers = r, n, []client.Wrapper{m}
				sg, err := client.NewSGClient(op)
				if err != nil {
					t.Fatal(err)
				}
				defer sg.Close()
				err = sg.Call(t.Context(), "Echo.Say", &text{S: "hello"}, nil)
				if m.attempts != c.attempts || (err == nil) != (c.attempts == 2) {
					t.Errorf("%d attempts, %v", m.attempts, err)
				}
			})
		})
	}
}
