package dubbo

import (
	"context"

	"github.com/sinew-rpc/sinew/registry"
)

// job is something that a caller wants done with the session. The keeper does it.
type job struct {
	run  func(*session) error
	done chan error // room for one
}

// do has run done, again on the next session where one is lost, and waits.
func (r *Registry) do(ctx context.Context, run func(*session) error) error {
	for {
		j := &job{run, make(chan error, 1)}
		select {
		case r.jobs <- j:
		case <-ctx.Done():
			return ctx.Err()
		case <-r.ctx.Done():
			return registry.ErrClosed
		}
		select {
		case err := <-j.done:
			if err == nil || answered(err) {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-r.ctx.Done():
			return registry.ErrClosed
		}
	}
}

// write puts e in place of whatever else has its key: an older state of it, or
// what its predecessor at that address left behind. One that drains leaves its
// successor there, and returns registry.ErrSuperseded.
func (r *Registry) write(s *session, e entry) error {
	return s.swap(r.providers, e.node, func(child string) (bool, error) {
		p, ok := r.same(child)
		if !ok || p.ProviderKey != e.provider.ProviderKey {
			return false, nil
		}
		if e.yieldsTo(p) {
			return false, e.superseded()
		}
		return true, nil
	})
}

// remove takes p away, unless a successor stands at its address.
func (r *Registry) remove(s *session, p registry.Provider) error {
	return s.swap(r.providers, "", func(child string) (bool, error) {
		listed, ok := r.same(child)
		return ok && listed.ProviderKey == p.ProviderKey && !listed.Supersedes(p), nil
	})
}

// same returns the provider that a node stands for, where it is of the same
// interface, group and version, whatever its protocol.
func (r *Registry) same(child string) (registry.Provider, bool) {
	every := r.option
	every.Protocol = Any
	p, ok, err := every.providerOf(child)
	return p, ok && err == nil
}
