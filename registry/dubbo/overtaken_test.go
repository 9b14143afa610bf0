package dubbo

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/internal/testutil/registryserver"
	"github.com/sinew-rpc/sinew/registry"
)

// A Register whose session was lost comes after what was asked meanwhile, and must
// not undo that.
func TestARegisterThatIsOvertaken(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	p := registry.Provider{Network: "jsonrpc", Addr: "10.0.0.1:1", Started: time.UnixMilli(1_700_000_000_123)}
	draining := p
	draining.Draining = true
	for _, test := range []struct {
		name  string
		later func(r *Registry, ctx context.Context) error
		left  []registry.Provider
	}{
		{"by an Unregister", func(r *Registry, ctx context.Context) error {
			return r.Unregister(ctx, registry.RegisterOption{}, p)
		}, nil},
		{"by another Register", func(r *Registry, ctx context.Context) error {
			return r.Register(ctx, registry.RegisterOption{}, draining)
		}, []registry.Provider{draining}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			r := keptByHand(t, server.Addr())
			s, err := openSession(ctx, r.option.Servers, r.option.SessionTimeout)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if err := s.makePath(r.providers); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 2)
			go func() { ended <- r.Register(ctx, registry.RegisterOption{}, p) }()
			first := nextJob(t, ctx, r)
			go func() { ended <- test.later(r, ctx) }()
			second := nextJob(t, ctx, r)
			second.done <- second.run(s)
			first.done <- errLost
			again := nextJob(t, ctx, r)
			again.done <- again.run(s)
			for range 2 {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			var want []string
			for _, p := range test.left {
				p, _ = p.Complete()
				node, err := r.option.nodeOf(p)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, node)
			}
			if got, _, err := s.conn.Children(r.providers); err != nil || !slices.Equal(got, want) {
				t.Errorf("left are %q, %v; want %q", got, err, want)
			}
		})
	}
}

// Whoever unregisters too late is not registered again with the next session.
func TestUnregisterWithAnEndedContext(t *testing.T) {
	r := keptByHand(t, "127.0.0.1:1")
	p, err := registry.Provider{Network: "jsonrpc", Addr: "10.0.0.1:1"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	registered := make(chan error, 1)
	go func() { registered <- r.Register(ctx, registry.RegisterOption{}, p) }()
	nextJob(t, ctx, r) // no session does it
	cancel()
	if err := <-registered; !errors.Is(err, context.Canceled) {
		t.Errorf("Register: %v", err)
	}
	if err := r.Unregister(ctx, registry.RegisterOption{}, p); !errors.Is(err, context.Canceled) {
		t.Errorf("Unregister: %v", err)
	}
	if len(r.wanted) != 0 {
		t.Errorf("%v is written by the next session", r.wanted)
	}
}

// The removal of a successor that could not wait for it is owed still when the
// predecessor is unregistered too, of which nothing is there.
func TestAnUnregisterThatComesAfterTheSuccessors(t *testing.T) {
	server := registryserver.ZooKeeper(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r := keptByHand(t, server.Addr())
	s, err := openSession(ctx, r.option.Servers, r.option.SessionTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	k := &keeper{Registry: r, session: s}
	older := registry.Provider{Network: "jsonrpc", Addr: "10.0.0.1:1", Started: time.UnixMilli(1_700_000_000_123)}
	newer := older
	newer.Started = older.Started.Add(time.Minute)
	done := func(what func() error) {
		t.Helper()
		ended := make(chan error, 1)
		go func() { ended <- what() }()
		j := nextJob(t, ctx, r)
		j.done <- j.run(s)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	done(func() error { return r.Register(ctx, registry.RegisterOption{}, newer) })
	over, end := context.WithCancel(ctx)
	end()
	if err := r.Unregister(over, registry.RegisterOption{}, newer); !errors.Is(err, context.Canceled) {
		t.Errorf("Unregister: %v", err)
	}
	done(func() error { return r.Unregister(ctx, registry.RegisterOption{}, older) })
	children, err := k.children()
	if err == nil {
		err = k.clear(children)
	}
	if left, _, listErr := s.conn.Children(r.providers); err != nil || listErr != nil || len(children) != 1 || len(left) != 0 {
		t.Errorf("%q are left of %q, %v, %v", left, children, err, listErr)
	}
}

// keptByHand is a registry whose jobs the test does in place of the keeper.
func keptByHand(t *testing.T, addr string) *Registry {
	t.Helper()
	o, err := Option{Servers: []string{addr}, Interface: userProvider}.complete()
	if err != nil {
		t.Fatal(err)
	}
	r := &Registry{option: o, providers: "/" + t.Name(), jobs: make(chan *job), wanted: make(map[string]entry), leaving: make(map[string]registry.Provider)}
	r.ctx, r.cancel = context.WithCancel(t.Context())
	t.Cleanup(r.cancel)
	return r
}

func nextJob(t *testing.T, ctx context.Context, r *Registry) *job {
	t.Helper()
	select {
	case j := <-r.jobs:
		return j
	case <-ctx.Done():
		t.Fatal("no job")
		return nil
	}
}
