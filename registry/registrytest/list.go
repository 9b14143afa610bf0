package registrytest

import (
	"errors"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/registry"
)

func testEmpty(f *fixture) {
	if ps := f.list(); len(ps) != 0 {
		f.Errorf("a new application lists\n%s", show(ps))
	}
}

func testRegister(f *fixture) {
	p, q := numbered(1), numbered(2)
	f.register(p)
	f.waitFor(p)
	f.register(q)
	f.waitFor(p, q)
	if _, state, _ := f.reader.Providers(f.ctx); state.Status != registry.Fresh {
		f.Errorf("a list that was just read is %v, want fresh", state)
	}
}

func testSorted(f *fixture) {
	ps := []registry.Provider{numbered(30), numbered(4), numbered(200), numbered(1)}
	f.register(ps...)
	f.waitFor(ps...)
	if got := f.list(); !slices.IsSortedFunc(got, byKey) {
		f.Errorf("the list is not sorted by key:\n%s", show(got))
	}
}

func testUpdate(f *fixture) {
	p, q := numbered(1), numbered(2)
	f.register(p, q)
	f.waitFor(p, q)
	p.Version = "v2"
	f.register(p)
	f.waitFor(p, q)
	f.register(p) // says nothing new
	f.waitFor(p, q)
}

func testFields(f *fixture) {
	base := numbered(1)
	f.register(base)
	for _, change := range []struct {
		field string
		apply func(*registry.Provider)
	}{
		{"Draining", func(p *registry.Provider) { p.Draining = true }},
		{"Weight", func(p *registry.Provider) { p.Weight = 1000 }},
		{"Weight off", func(p *registry.Provider) { p.Weight = -1 }},
		{"Tags", func(p *registry.Provider) { p.Tags = map[string]string{"idc": "hl"} }},
		{"no Tags", func(p *registry.Provider) { p.Tags = nil }},
		{"Version", func(p *registry.Provider) { p.Version = "" }},
		{"Started", func(p *registry.Provider) { p.Started = p.Started.Add(time.Second) }},
		{"Services", func(p *registry.Provider) { p.Services = p.Services[:1] }},
		{"Methods", func(p *registry.Provider) { p.Services[0].Methods[0].Request = "arith.Other" }},
		{"no Services", func(p *registry.Provider) { p.Services = nil }},
	} {
		p := base.Clone()
		change.apply(&p)
		f.Logf("changing %s", change.field)
		f.register(p)
		f.waitFor(p)
	}
}

func testUnregister(f *fixture) {
	p, q, r := numbered(1), numbered(2), numbered(3)
	f.register(p, q, r)
	f.waitFor(p, q, r)
	f.unregister(q)
	f.waitFor(p, r)
	f.unregister(p, r)
	f.waitFor()
	f.register(q)
	f.waitFor(q)
}

func testUnregisterUnknown(f *fixture) {
	f.unregister(numbered(1)) // of an application nobody has written to
	p := numbered(2)
	f.register(p)
	f.waitFor(p)
	f.unregister(numbered(1))
	f.unregister()
	f.waitFor(p)
}

func testSuccessor(f *fixture) {
	old := numbered(1)
	f.register(old)
	f.waitFor(old)
	successor := old.Clone()
	successor.Started = old.Started.Add(time.Minute)
	f.register(successor)
	f.waitFor(successor)
	if presence, knows := f.writer.(registry.Presence); knows {
		if ok, err := presence.Registered(old); ok || !errors.Is(err, registry.ErrSuperseded) {
			f.Errorf("the predecessor is registered: %v, %v; want ErrSuperseded", ok, err)
		}
	}

	f.unregister(old)
	marker := numbered(2) // seen after whatever the unregister did
	f.register(marker)
	f.waitFor(successor, marker)

	unknown := successor.Clone()
	unknown.Started = time.Time{}
	f.unregister(unknown)
	f.waitFor(marker)
}

// A restart on a listener that is handed over or shared: the predecessor drains and
// leaves once its successor, of the same process or another, has registered.
func testDrainingPredecessor(f *fixture) {
	var listed []registry.Provider
	for i, next := range []registry.Registry{f.writer, f.reader} {
		old := numbered(i + 1)
		f.register(old)
		f.waitFor(append(listed, old)...)
		successor := old.Clone()
		successor.Started = old.Started.Add(time.Minute)
		if err := next.Register(f.ctx, registry.RegisterOption{AppKey: AppKey}, successor); err != nil {
			f.Fatalf("Register of the successor: %v", err)
		}
		f.waitFor(append(listed, successor)...)

		old.Draining = true
		if err := f.writer.Register(f.ctx, registry.RegisterOption{AppKey: AppKey}, old); !errors.Is(err, registry.ErrSuperseded) {
			f.Errorf("the predecessor drains: %v, want ErrSuperseded", err)
		}
		f.unregister(old)
		marker := numbered(i + 11) // seen after whatever those did
		f.register(marker)
		listed = append(listed, successor, marker)
		f.waitFor(listed...)
	}
}

func testAddresses(f *fixture) {
	var ps []registry.Provider
	for _, a := range []struct{ network, addr string }{
		{"tcp", ":8888"},
		{"tcp6", "[::1]:8888"},
		{"tcp", "[fe80::1%eth0]:8888"},
		{"tls", "api.example.com:443"},
		{"unix", "/run/my app/s@cket.sock"},
		{"unix", "@abstract"},
		{"ws", "10.0.0.1:80/rpc/v1"},
		{"mem", "ünï/100%25"},
	} {
		p := provider("")
		p.ProviderKey, p.Network, p.Addr = registry.JoinKey(a.network, a.addr), a.network, a.addr
		ps = append(ps, p)
	}
	f.register(ps...)
	f.waitFor(ps...)
	f.unregister(ps...)
	f.waitFor()
}

func testAdvertise(f *fixture) {
	o := registry.RegisterOption{AppKey: AppKey, Advertise: "203.0.113.7"}
	if err := f.writer.Register(f.ctx, o, provider("[::]:8888")); err != nil {
		f.Fatalf("Register: %v", err)
	}
	f.waitFor(provider("203.0.113.7:8888"))
	if err := f.writer.Unregister(f.ctx, o, provider("[::]:8888")); err != nil {
		f.Fatalf("Unregister: %v", err)
	}
	f.waitFor()
}

func testInvalid(f *fixture) {
	good := numbered(1)
	for name, bad := range map[string]registry.Provider{
		"nothing":         {},
		"no network":      {Addr: "10.0.0.1:8888"},
		"no address":      {Network: "tcp"},
		"a contradiction": {ProviderKey: "tcp@10.0.0.1:8888", Network: "tcp", Addr: "10.0.0.2:8888"},
	} {
		var invalid *registry.ProviderError
		if err := f.writer.Register(f.ctx, registry.RegisterOption{}, good, bad); !errors.As(err, &invalid) {
			f.Errorf("registering %s: %v, want a *ProviderError", name, err)
		}
		if err := f.writer.Unregister(f.ctx, registry.RegisterOption{}, good, bad); !errors.As(err, &invalid) {
			f.Errorf("unregistering %s: %v, want a *ProviderError", name, err)
		}
	}
	marker := numbered(2)
	f.register(marker)
	f.waitFor(marker)
}

func testAppKey(f *fixture) {
	keyed, ok := f.writer.(registry.AppKeyed)
	if !ok || keyed.AppKey() == "" {
		f.Skip("this registry does not know its application")
	}
	if got := keyed.AppKey(); got != AppKey {
		f.Fatalf("AppKey() = %q, want %q", got, AppKey)
	}
	var mismatch *registry.AppKeyError
	err := f.writer.Register(f.ctx, registry.RegisterOption{AppKey: "another"}, numbered(1))
	if !errors.As(err, &mismatch) || mismatch.Option != "another" || mismatch.Registry != AppKey {
		f.Errorf("Register for another application: %v, want an *AppKeyError that names both", err)
	}
	p := numbered(2)
	if err := f.writer.Register(f.ctx, registry.RegisterOption{}, p); err != nil {
		f.Fatalf("Register with no AppKey, which stands for the registry's own: %v", err)
	}
	f.waitFor(p)
}

func testOwnership(f *fixture) {
	want := numbered(1)
	spoil := func(p registry.Provider) {
		p.Tags["idc"] = "spoilt"
		p.Services[0].Name = "Spoilt"
		p.Services[1].Methods[0].Name = "Spoilt"
	}
	given := want.Clone()
	f.register(given)
	spoil(given)
	f.waitFor(want)

	listed := f.list()
	spoil(listed[0])
	f.waitFor(want)

	w, v := f.watch(), f.watch()
	spoil(f.nextUntil(w, 0, want).Providers[0])
	f.nextUntil(v, 0, want)
	f.waitFor(want)
}
