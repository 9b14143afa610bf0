package client_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

// closedDoor refuses every request.
type closedDoor struct{ server.BaseWrapper }

func (closedDoor) Admit(context.Context, *protocol.Header, int) error {
	return protocol.NewError(protocol.Unauthenticated, "nobody comes in")
}

// Heartbeats are answered below auth, tags and limits: a provider that refuses
// every call is not degraded for that, and recovers like any other.
func TestHeartbeatsPassWhatRefusesCalls(t *testing.T) {
	for name, refusing := range map[string]struct {
		option server.Option
		code   protocol.Code
	}{
		"auth":   {server.Option{Wrappers: []server.Wrapper{closedDoor{}}}, protocol.Unauthenticated},
		"tags":   {server.Option{Tags: map[string]string{"idc": "yf"}}, protocol.FailedPrecondition},
		"limits": {server.Option{MaxBytesInFlight: 1}, protocol.ResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := transport.NewMemNetwork()
				refusing.option.Mem = n
				s, err := server.NewSGServer(&refusing.option)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Register(Doubler{}); err != nil {
					t.Fatal(err)
				}
				go s.Serve("mem", "a", nil)
				defer s.Close()
				<-s.Listening()
				var told []client.State
				c := newSG(t, n, registry.NewPeer2PeerRegistry().WithProvider(at("a")), func(op *client.SGOption) {
					op.HeartbeatInterval, op.HeartbeatDegradeThreshold = time.Second, 2
					op.OnStateChange = func(c client.StateChange) { told = append(told, c.State) }
				})
				refused := func() {
					t.Helper()
					err := c.Call(context.Background(), "Doubler.Double", &Number{N: 1}, nil)
					if protocol.CodeOf(err) != refusing.code || protocol.OutcomeOf(err) != protocol.Refused {
						t.Errorf("a call: %v, %v", err, protocol.OutcomeOf(err))
					}
				}
				refused()
				time.Sleep(time.Minute)
				n.SetFaultsAt("a", transport.MemFaults{ToListener: transport.MemPath{Stall: true}})
				time.Sleep(4 * time.Second)
				n.SetFaultsAt("a", transport.MemFaults{})
				time.Sleep(time.Minute)
				refused()
				_ = c.Close() // waits for the hook
				want := []client.State{client.Connecting, client.Connected, client.Degraded, client.Connected, client.Closed}
				if !slices.Equal(told, want) {
					t.Errorf("told %v, want %v", told, want)
				}
			})
		})
	}
}
