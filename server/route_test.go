package server

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sinew-rpc/sinew/registry"
	"github.com/sinew-rpc/sinew/registry/memory"
	"github.com/sinew-rpc/sinew/transport"
)

// farRegistry has its servers under a name.
type farRegistry struct {
	*memory.Registry
	delay time.Duration // before it registers
}

func (r *farRegistry) Addrs() []string { return []string{"zookeeper:2181"} }

func (r *farRegistry) Register(ctx context.Context, o registry.RegisterOption, ps ...registry.Provider) error {
	select {
	case <-time.After(r.delay):
		return r.Registry.Register(ctx, o, ps...)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *farRegistry) keys(t *testing.T) (keys []string) {
	t.Helper()
	ps, _, err := r.Providers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		keys = append(keys, p.ProviderKey)
	}
	return keys
}

// silence is a resolver that answers nothing until it is over. Then the way leads
// through 192.0.2.9.
type silence struct {
	mu sync.Mutex
	// Guarded by mu:
	asked int
	over  bool
}

func (s *silence) dialUDP(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	s.asked++
	over := s.over
	s.mu.Unlock()
	if over {
		return way{}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *silence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

func (s *silence) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// way is a socket towards the registry.
type way struct{ net.Conn }

func (way) LocalAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 9)} }
func (way) Close() error        { return nil }

// standsAt is a listener of the in-memory network that has an IP address.
type standsAt struct {
	net.Listener
	ip net.IP
}

func (l standsAt) Addr() net.Addr { return &net.TCPAddr{IP: l.ip, Port: 8888} }

// servingAt has a server serve at ip while the registry's name is not resolved, and
// returns what ends it. It serves at once.
func servingAt(t *testing.T, r *farRegistry, dns *silence, ip net.IP, advertise string) (s *SGServer, end func()) {
	t.Helper()
	s, err := NewSGServer(&Option{Registry: r, RegisterOption: registry.RegisterOption{Advertise: advertise}})
	if err != nil {
		t.Fatal(err)
	}
	s.dialUDP = dns.dialUDP
	mem := transport.NewMemNetwork()
	ln, err := mem.Listen("server")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	served := make(chan error, 1)
	go func() { served <- s.ServeListener(standsAt{ln, ip}, map[string]string{"network": "tcp"}) }()
	<-s.Listening()
	conn, err := transport.Dial(t.Context(), "mem", "server", transport.DialOptions{Mem: mem})
	if err != nil {
		t.Fatal(err)
	}
	var workers transport.Workers
	session, err := transport.NewSession(conn, &transport.SessionConfig{Workers: &workers})
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Ping(t.Context(), began.Add(time.Minute)); err != nil {
		t.Errorf("a heartbeat: %v", err)
	}
	session.Close()
	workers.Close()
	if took := time.Since(began); took != 0 {
		t.Errorf("it serves after %v", took)
	}
	return s, func() {
		t.Helper()
		began := time.Now()
		s.Close()
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it ended after %v", took)
		}
		r.Close()
	}
}

// A resolver that answers nothing holds neither the start of a server up nor its
// end.
func TestSilentResolverDoesNotHoldServeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, dns := &farRegistry{Registry: memory.NewRegistry("")}, new(silence)
		s, end := servingAt(t, r, dns, net.IPv4zero, "")
		synctest.Wait()
		if ok, err := s.Registered(); ok || err != nil || len(r.keys(t)) != 0 {
			t.Errorf("before the way is known: registered %v, %v, %q", ok, err, r.keys(t))
		}
		time.Sleep(routeLimit)
		synctest.Wait()
		if got := len(r.keys(t)); got != 1 {
			t.Errorf("%d entries of a server that could not find the way", got)
		}
		end()
	})
}

// What is registered before a name resolves is replaced once one does: when the
// registry answers, or when the services change.
func TestWildcardIsDecidedAgain(t *testing.T) {
	for name, delay := range map[string]time.Duration{"while the registry is away": time.Minute, "later": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, dns := &farRegistry{memory.NewRegistry(""), delay}, new(silence)
				s, end := servingAt(t, r, dns, net.IPv4zero, "")
				time.Sleep(2*routeLimit + time.Second)
				dns.end()
				if delay == 0 {
					if err := s.RegisterName("Late", late{}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(3 * time.Minute)
				if keys := r.keys(t); len(keys) != 1 || keys[0] != "tcp@192.0.2.9:8888" {
					t.Errorf("registered as %q", keys)
				}
				if ok, err := s.Registered(); !ok || err != nil {
					t.Errorf("registered: %v, %v", ok, err)
				}
				end()
			})
		})
	}
}

type late struct{}

func (late) Do(context.Context, *struct{}, *struct{}) error { return nil }

// A fixed address does not wait for the way to the registry, and one that is
// advertised does not ask for it.
func TestFixedAddressIsRegisteredAtOnce(t *testing.T) {
	for _, test := range []struct {
		ip              net.IP
		advertise, want string
		asked           int
	}{
		{net.IPv4(127, 0, 0, 1), "", "tcp@127.0.0.1:8888", 1}, // for a warning
		{net.IPv4zero, "api.example.com", "tcp@api.example.com:8888", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, dns := &farRegistry{Registry: memory.NewRegistry("")}, new(silence)
			s, end := servingAt(t, r, dns, test.ip, test.advertise)
			synctest.Wait()
			if keys := r.keys(t); len(keys) != 1 || keys[0] != test.want {
				t.Errorf("registered as %q, want %s", keys, test.want)
			}
			if ok, err := s.Registered(); !ok || err != nil || dns.times() != test.asked {
				t.Errorf("registered: %v, %v; the way was asked for %d times, want %d", ok, err, dns.times(), test.asked)
			}
			end()
		})
	}
}
