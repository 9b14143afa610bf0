package server

import (
	"context"
	"slices"
	"time"

	"github.com/sinew-rpc/sinew/internal/backoff"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/registry"
)

// registryGrace is how long the end of a server waits for the registry when
// nothing else is left to wait for.
const registryGrace = time.Second

// registration keeps one address registered. Its goroutine registers until that
// has succeeded, and again when the services change, and unregisters in the end;
// endRegistrations waits for it, but no longer than registryGrace: a registry
// may hang.
type registration struct {
	server   *SGServer
	provider registry.Provider // the goroutine's own, as is what follows
	entered  registry.Provider // what stands in the registry, perhaps under an earlier address
	at       *listening        // nil where the address is as it is
	doubted  string            // the address that was doubted last

	changed  chan struct{}   // capacity 1: register again
	ctx      context.Context // ends when it is to leave
	leave    context.CancelFunc
	final    context.Context // ends when it must give up leaving
	giveUp   context.CancelFunc
	draining bool          // set before leave: say so before unregistering
	done     chan struct{} // closed when the goroutine has ended

	// Guarded by server.mu:
	listed     registry.Provider // as the registry has it, which may be under another address
	registered bool
	err        error // of the last attempt
}

// Registered reports whether every address that is served stands in the
// registry; if not, err says why the last attempt failed, nil before its end. A
// registry that is a registry.Presence is asked whether the entry is there now.
// Without a Registry, before Serve and after Shutdown it is false and nil.
func (s *SGServer) Registered() (ok bool, err error) {
	s.mu.Lock()
	registrations := slices.Clone(s.registrations)
	s.mu.Unlock()
	ok = len(registrations) > 0
	for _, r := range registrations {
		present, cause := r.present()
		ok = ok && present
		if err == nil {
			err = cause
		}
	}
	return ok, err
}

// present reports whether the address stands in the registry. What was
// registered once may have been lost since.
func (r *registration) present() (ok bool, err error) {
	r.server.mu.Lock()
	ok, err = r.registered, r.err
	listed := r.listed
	r.server.mu.Unlock()
	if presence, knows := r.server.option.Registry.(registry.Presence); ok && knows {
		return presence.Registered(listed)
	}
	return ok, err
}

// startRegistration returns nil when there is no registry.
func (s *SGServer) startRegistration(p registry.Provider) *registration {
	if s.option.Registry == nil {
		return nil
	}
	r := &registration{server: s, provider: p, at: s.listeningOn(p.Network, p.Addr), changed: make(chan struct{}, 1), done: make(chan struct{})}
	if r.at == nil {
		r.standAt(p.Addr)
	} else {
		r.standAt(r.at.addr())
	}
	r.ctx, r.leave = context.WithCancel(context.Background())
	r.final, r.giveUp = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != serving {
		return nil // nobody would end it
	}
	s.registrations = append(s.registrations, r)
	go r.run()
	return r
}

// leave tells registrations to unregister. It does not wait. The lock of their
// server is held.
func leave(rs []*registration, draining bool) {
	for _, r := range rs {
		if r.ctx.Err() == nil {
			r.draining = draining
			r.leave()
		}
	}
}

// endRegistration is for a listener that failed while the server goes on.
func (s *SGServer) endRegistration(r *registration) {
	if r == nil {
		return
	}
	s.mu.Lock()
	leave([]*registration{r}, false)
	s.mu.Unlock()
	s.awaitRegistrations([]*registration{r}, time.Now().Add(registryGrace))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registrations = slices.DeleteFunc(s.registrations, func(other *registration) bool { return other == r })
}

// endRegistrations waits for registrations that were told to leave.
func (s *SGServer) endRegistrations() {
	s.mu.Lock()
	rs := s.registrations
	s.registrations = nil
	patience := s.patienceLocked()
	s.mu.Unlock()
	s.awaitRegistrations(rs, patience)
}

// patienceLocked returns until when the end of the server waits for the registry, once
// for its drain and what follows that.
func (s *SGServer) patienceLocked() time.Time {
	if s.drain.patience.IsZero() {
		s.drain.patience = time.Now().Add(registryGrace)
	}
	return s.drain.patience
}

// awaitRegistrations waits until patience is over, and has those give up that have not
// ended by then.
func (s *SGServer) awaitRegistrations(rs []*registration, patience time.Time) {
	t := time.NewTimer(time.Until(patience))
	defer t.Stop()
	late := false
	for _, r := range rs {
		if !late && !r.endsBefore(t.C) {
			late = true
			log.Warningf("server: the registry does not answer; %s stays listed until its TTL is over", r.key())
		}
		r.giveUp()
	}
}

// endsBefore reports whether the goroutine has ended when late comes, or had before.
func (r *registration) endsBefore(late <-chan time.Time) bool {
	select {
	case <-r.done:
		return true
	default:
	}
	select {
	case <-r.done:
		return true
	case <-late:
		return false
	}
}

// servicesChanged has what was registered before registered again.
func (s *SGServer) servicesChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.registrations {
		select {
		case r.changed <- struct{}{}:
		default: // it will look anyway
		}
	}
}

func (r *registration) run() {
	defer close(r.done)
	for goesOn := true; goesOn; {
		goesOn = r.register()
		r.doubt()
		if goesOn {
			select {
			case <-r.changed:
			case <-r.ctx.Done():
			}
		}
	}
	r.note(false, nil)
	reg, o := r.server.option.Registry, r.server.option.RegisterOption
	if r.draining {
		r.provider.Draining = true
		if err := reg.Register(r.final, o, r.provider); err != nil {
			log.V(1).Infof("server: %s was not marked as draining: %v", r.provider.ProviderKey, err)
		}
	}
	var failures backoff.Backoff
	for {
		err := reg.Unregister(r.final, o, r.entries()...)
		if err == nil {
			return
		}
		log.Warningf("server: %s was not unregistered: %v", r.provider.ProviderKey, err)
		if failures.Wait(r.final) != nil {
			return
		}
	}
}

// register registers until it succeeds, false when it is to leave.
func (r *registration) register() bool {
	var failures backoff.Backoff
	for r.ctx.Err() == nil {
		r.locate()
		r.provider.Services = services(&r.server.table)
		err := r.enter()
		r.note(err == nil, err)
		if err == nil {
			if moved := r.locate(); !moved { // a registry that has answered may have names that resolve now
				return true
			}
			continue
		}
		if r.ctx.Err() != nil {
			return false
		}
		log.Warningf("server: %s is not registered: %v; trying again", r.provider.ProviderKey, err)
		if failures.Wait(r.ctx) != nil {
			return false
		}
	}
	return false
}

// enter registers the provider, in place of what was registered under an earlier
// address.
func (r *registration) enter() error {
	reg, o := r.server.option.Registry, r.server.option.RegisterOption
	if err := reg.Register(r.ctx, o, r.provider); err != nil {
		return err
	}
	for _, earlier := range r.entries()[1:] {
		if err := reg.Unregister(r.ctx, o, earlier); err != nil {
			return err
		}
	}
	r.entered = r.provider
	return nil
}

// entries are the provider, and what stands in the registry under an earlier
// address.
func (r *registration) entries() []registry.Provider {
	if r.entered.ProviderKey == "" || r.entered.ProviderKey == r.provider.ProviderKey {
		return []registry.Provider{r.provider}
	}
	return []registry.Provider{r.provider, r.entered}
}

// locate decides under which address to register, and reports whether that is
// another than before. Where the listener has every address the way to the registry
// says; while that is not known, it is one that this host has.
func (r *registration) locate() (moved bool) {
	if r.at == nil || !r.at.wildcard {
		return false
	}
	r.server.locate(r.ctx, r.provider.Network, r.at)
	if r.at.addr() == r.provider.Addr {
		return false
	}
	r.standAt(r.at.addr())
	return true
}

// standAt has the provider registered under addr from now on.
func (r *registration) standAt(addr string) {
	r.provider.Addr, r.provider.ProviderKey = addr, registry.JoinKey(r.provider.Network, addr)
	listed := r.provider
	if prepared, err := r.server.option.RegisterOption.Prepare("", listed); err == nil { // else Register says what is wrong
		listed = prepared[0]
	}
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.listed = listed
}

// key is the key under which the registry has the provider.
func (r *registration) key() string {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.listed.ProviderKey
}

// doubt warns of an address that others are not likely to reach, once. A fixed one
// is registered before that is looked into, which may take a while.
func (r *registration) doubt() {
	if r.at == nil || r.doubted == r.at.addr() {
		return
	}
	r.doubted = r.at.addr()
	if !r.at.wildcard {
		r.server.locate(r.ctx, r.provider.Network, r.at)
	}
	if doubt := r.at.doubt(hostInterfaces()); doubt != "" {
		log.Warningf("server: %s", doubt)
	}
}

func (r *registration) note(ok bool, err error) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.registered, r.err = ok, err
}
