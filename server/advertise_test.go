package server_test

import (
	"errors"
	"net"
	"testing"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/server"
)

// locatedRegistry says that its servers are elsewhere.
type locatedRegistry struct {
	*memory.Registry
	addrs []string
}

func (r *locatedRegistry) Addrs() []string { return r.addrs }

// A server on every interface registers the one from which the registry is
// reached.
func TestWildcardIsRegisteredAsWhatRoutesToTheRegistry(t *testing.T) {
	probe, err := net.Dial("udp4", "192.0.2.1:9") // TEST-NET-1; nothing is sent
	if err != nil {
		t.Skip("this host has no route to other networks")
	}
	want := probe.LocalAddr().(*net.UDPAddr).IP.String()
	_ = probe.Close()
	r := &locatedRegistry{memory.NewRegistry("app"), []string{"http://no host", "192.0.2.1:2181"}}
	s, err := server.NewSGServer(&server.Option{Registry: r, RegisterOption: registry.RegisterOption{AppKey: "app"}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("tcp4", "0.0.0.0:0", nil) }()
	w, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	for {
		snapshot, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(snapshot.Providers) == 0 {
			continue
		}
		if host, _, err := net.SplitHostPort(snapshot.Providers[0].Addr); err != nil || host != want {
			t.Errorf("registered as %s, want host %s", snapshot.Providers[0].Addr, want)
		}
		break
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}
