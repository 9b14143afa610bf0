package server_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
)

// forgetfulRegistry can lose what was registered.
type forgetfulRegistry struct {
	*memory.Registry
	lost atomic.Bool
	seen atomic.Pointer[registry.Provider]
}

var errLost = errors.New("the registry was wiped")

func (r *forgetfulRegistry) Registered(p registry.Provider) (bool, error) {
	r.seen.Store(&p)
	if r.lost.Load() {
		return false, errLost
	}
	return true, nil
}

// Registered tells what is so now, not what was so once.
func TestRegisteredAsksTheRegistry(t *testing.T) {
	r := &forgetfulRegistry{Registry: memory.NewRegistry("app")}
	s, err := server.NewSGServer(&server.Option{Registry: r, RegisterOption: registry.RegisterOption{AppKey: "app", Advertise: "10.1.2.3:99"}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("tcp", "127.0.0.1:0", nil) }()
	<-s.Listening()
	listed(t, r)
	for {
		if ok, _ := s.Registered(); ok {
			break
		}
	}
	if p := r.seen.Load(); p == nil || p.Addr != "10.1.2.3:99" {
		t.Errorf("the registry was asked for %+v, want the advertised address", p)
	}
	r.lost.Store(true)
	if ok, err := s.Registered(); ok || !errors.Is(err, errLost) {
		t.Errorf("after a loss: %v, %v", ok, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}
