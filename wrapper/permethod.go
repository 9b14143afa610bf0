package wrapper

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// methodName is a method without the allocation of joining its name.
type methodName struct{ service, method string }

// String returns "Service.Method".
func (n methodName) String() string { return n.service + "." + n.method }

// perMethod keeps one T for each method that was added. Requests for methods
// that do not exist are refused before any wrapper sees them, so there are no
// more than a server has methods. The zero value is ready.
type perMethod[T any] struct {
	all atomic.Pointer[map[methodName]*T] // replaced by add, never changed

	mu sync.Mutex // held by add
}

// get returns the T of a method, nil when there is none yet.
func (p *perMethod[T]) get(service, method string) *T {
	return p.snapshot()[methodName{service, method}]
}

// add returns the T of a method, made where there is none yet.
func (p *perMethod[T]) add(service, method string, made func(methodName) *T) *T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.get(service, method); t != nil {
		return t
	}
	next := maps.Clone(p.snapshot())
	if next == nil {
		next = make(map[methodName]*T)
	}
	name := methodName{strings.Clone(service), strings.Clone(method)} // those of a header are lent
	t := made(name)
	next[name] = t
	p.all.Store(&next)
	return t
}

// snapshot returns all there are now. The map must not be changed.
func (p *perMethod[T]) snapshot() map[methodName]*T {
	if all := p.all.Load(); all != nil {
		return *all
	}
	return nil
}
