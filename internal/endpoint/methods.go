package endpoint

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// Table holds the methods that one side of a session serves. The zero Table is
// empty and ready. Lookups take no lock and cost the same however many methods
// there are; registering copies the table, which is what makes it possible at
// any time, while calls are served too. A Table must not be copied.
type Table struct {
	// CheckType, if set, is asked at registration about each request and reply
	// type (the type behind the pointer) and refuses the registration by an
	// error. Set it before the first registration. It may be called
	// concurrently, and without a lock held.
	CheckType func(reflect.Type) error

	state atomic.Pointer[tableState] // nil: nothing registered. Replaced, never changed.

	register sync.Mutex // serializes replacing state
}

type tableState struct {
	services map[string]*service
	names    map[string]string // every name of a service or method, to itself
}

type service struct {
	methods  map[string]*Method
	receiver bool // Register gave it methods
}

// LookupState tells how a Lookup went.
type LookupState uint8

// The states of a Lookup.
const (
	Found LookupState = iota
	UnknownService
	UnknownMethod
)

// insert publishes methods, which nobody else has yet, under the service name.
func (t *Table) insert(name string, receiver bool, methods []*Method) error {
	t.register.Lock()
	defer t.register.Unlock()
	next := t.copyState()
	s := &service{methods: make(map[string]*Method, len(methods)), receiver: receiver}
	if old := next.services[name]; old != nil {
		if old.receiver && receiver {
			return fmt.Errorf("service %s: %w", name, ErrDuplicate)
		}
		maps.Copy(s.methods, old.methods)
		s.receiver = old.receiver || receiver
	}
	next.services[name] = s
	next.names[name] = name
	for _, m := range methods {
		if s.methods[m.Name] != nil {
			return fmt.Errorf("method %s.%s: %w", name, m.Name, ErrDuplicate)
		}
		m.Service, m.pace = name, new(transport.Pace)
		s.methods[m.Name] = m
		next.names[m.Name] = m.Name
	}
	t.state.Store(next)
	return nil
}

// copyState returns a copy of the state whose maps may be changed; the services
// in it may not.
func (t *Table) copyState() *tableState {
	if s := t.state.Load(); s != nil {
		return &tableState{services: maps.Clone(s.services), names: maps.Clone(s.names)}
	}
	return &tableState{services: map[string]*service{}, names: map[string]string{}}
}

// Lookup finds a method. The state tells an unknown service from an unknown
// method; the Method is nil unless it is Found.
func (t *Table) Lookup(service, method string) (*Method, LookupState) {
	state := t.state.Load()
	if state == nil {
		return nil, UnknownService
	}
	s := state.services[service]
	if s == nil {
		return nil, UnknownService
	}
	m := s.methods[method]
	if m == nil {
		return nil, UnknownMethod
	}
	return m, Found
}

// Intern returns b as a string: the registered name of a service or method equal
// to it, without allocating, else a fresh one.
func (t *Table) Intern(b []byte) string {
	if state := t.state.Load(); state != nil {
		if name, ok := state.names[string(b)]; ok {
			return name
		}
	}
	return string(b)
}

// Services lists what is registered, internal services included, sorted by name;
// the list is the caller's.
func (t *Table) Services() []protocol.ServiceInfo {
	state := t.state.Load()
	if state == nil {
		return nil
	}
	list := make([]protocol.ServiceInfo, 0, len(state.services))
	for _, name := range slices.Sorted(maps.Keys(state.services)) {
		list = append(list, state.services[name].info(name))
	}
	return list
}

func (s *service) info(name string) protocol.ServiceInfo {
	info := protocol.ServiceInfo{Name: name, Methods: make([]protocol.MethodInfo, 0, len(s.methods))}
	for _, method := range slices.Sorted(maps.Keys(s.methods)) {
		req, resp := s.methods[method].Types()
		info.Methods = append(info.Methods, protocol.MethodInfo{
			Name:           method,
			Request:        req.String(),
			Response:       resp.String(),
			RequestSchema:  Schema(req),
			ResponseSchema: Schema(resp),
		})
	}
	return info
}
