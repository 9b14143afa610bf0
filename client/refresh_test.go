package client_test

import (
	"sync/atomic"
	"testing"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
)

// askedRegistry counts how often it is asked for an early list.
type askedRegistry struct {
	*memory.Registry
	asked atomic.Int32
}

func (r *askedRegistry) Refresh() { r.asked.Add(1) }

// A provider that cannot be dialled is a reason to look who is there now.
func TestFailedDialAsksForAnEarlyList(t *testing.T) {
	r := &askedRegistry{Registry: memory.NewRegistry("app")}
	gone := registry.Provider{Network: "tcp", Addr: "127.0.0.1:1"}
	if err := r.Register(t.Context(), registry.RegisterOption{}, gone); err != nil {
		t.Fatal(err)
	}
	op := client.DefaultSGOption
	op.AppKey, op.Registry = "app", r
	c, err := client.NewSGClient(op)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Call(t.Context(), "A.B", &struct{}{}, &struct{}{})
	if protocol.OutcomeOf(err) != protocol.NotSent || protocol.CodeOf(err) != protocol.Unavailable {
		t.Errorf("a call to nobody: %v", err)
	}
	if r.asked.Load() == 0 {
		t.Error("the registry was not asked for an early list")
	}
}
