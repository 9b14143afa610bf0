package server_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/sinew-rpc/sinew/internal/log"
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

// listed waits until r has a provider.
func listed(t *testing.T, r registry.Registry) registry.Provider {
	t.Helper()
	w, err := r.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for {
		snapshot, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(snapshot.Providers) > 0 {
			return snapshot.Providers[0]
		}
	}
}

// routedHost returns the address by which this host reaches others.
func routedHost(t *testing.T) string {
	t.Helper()
	probe, err := net.Dial("udp4", "192.0.2.1:9") // TEST-NET-1; nothing is sent
	if err != nil {
		t.Skip("this host has no route to other networks")
	}
	defer probe.Close()
	return probe.LocalAddr().(*net.UDPAddr).IP.String()
}

// A server on every interface registers the one from which the registry is
// reached.
func TestWildcardIsRegisteredAsWhatRoutesToTheRegistry(t *testing.T) {
	want := routedHost(t)
	r := &locatedRegistry{memory.NewRegistry("app"), []string{"http://no host", "192.0.2.1:2181"}}
	s, err := server.NewSGServer(&server.Option{Registry: r, RegisterOption: registry.RegisterOption{AppKey: "app"}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve("tcp4", "0.0.0.0:0", nil) }()
	addr := listed(t, r).Addr
	if host, _, err := net.SplitHostPort(addr); err != nil || host != want {
		t.Errorf("registered as %s, want host %s", addr, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// An address that consumers elsewhere cannot dial is registered as it was asked
// for, and said to be of no use there.
func TestLoopbackIsWarnedOf(t *testing.T) {
	routedHost(t)
	for _, test := range []struct {
		name  string
		addrs []string
		o     registry.RegisterOption
		warns bool
	}{
		{"a registry elsewhere", []string{"192.0.2.1:2181"}, registry.RegisterOption{}, true},
		{"a registry here", nil, registry.RegisterOption{}, false},
		{"another address is advertised", []string{"192.0.2.1:2181"}, registry.RegisterOption{Advertise: "example.org"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			log.SetHandler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
			defer log.SetHandler(slog.DiscardHandler)
			r := &locatedRegistry{memory.NewRegistry("app"), test.addrs}
			s, err := server.NewSGServer(&server.Option{Registry: r, RegisterOption: test.o})
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- s.Serve("tcp", "127.0.0.1:0", nil) }()
			listed(t, r)
			if err := s.Close(); err != nil { // it waits for who registers, and then warns
				t.Error(err)
			}
			<-served
			if warned := strings.Contains(out.String(), "cannot dial the loopback"); warned != test.warns {
				t.Errorf("warned: %v, want %v: %s", warned, test.warns, &out)
			}
		})
	}
}
