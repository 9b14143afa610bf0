package server

import (
	"context"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/registry"
)

// Do serves a request that came by another way than a connection, from a gateway
// beside the server: admission, wrappers, method, bounds and drain are those of
// every request. The handler's context ends with ctx, holds none of its values,
// and has no Peer. m is not changed; the answer is the caller's. For a oneway
// Do returns an empty message when the handler has returned.
//
// The error is a *protocol.Error with outcome Refused, or Ran when the method
// was entered.
func (s *SGServer) Do(ctx context.Context, m *protocol.Message) (*protocol.Message, error) {
	if err := s.takeLocal(m); err != nil {
		return nil, err.WithOutcome(protocol.Refused)
	}
	s.local.Add(1)
	defer s.room.Give(len(m.Body))
	return s.dispatcher.Do(ctx, s.ctx, m)
}

// takeLocal makes the checks that a session makes before admission, and takes
// room.
func (s *SGServer) takeLocal(m *protocol.Message) *protocol.Error {
	s.mu.Lock()
	leaving := s.phase != serving
	s.mu.Unlock()
	switch {
	case m.MessageType != protocol.TypeRequest && m.MessageType != protocol.TypeOneway:
		return protocol.Errorf(protocol.InvalidArgument, "a message of type %d is no request", m.MessageType)
	case len(m.Body) > s.option.MaxMessageSize:
		s.stats.RefusedSize.Add(1)
		return protocol.Errorf(protocol.ResourceExhausted, "a request of %d bytes; this side takes %d (MaxMessageSize)", len(m.Body), s.option.MaxMessageSize)
	case m.Flags&protocol.FlagsCritical != 0:
		return protocol.Errorf(protocol.Unimplemented, "critical flags %#x are not known here", uint32(m.Flags))
	case leaving:
		s.stats.RefusedDraining.Add(1)
		return protocol.Draining(goAwayReason)
	case !s.room.Take(len(m.Body)):
		s.stats.RefusedRoom.Add(1)
		return &protocol.Error{Code: protocol.ResourceExhausted, Message: "too many requests or bytes in flight", Elsewhere: true}
	}
	return nil
}

// Services lists what is registered with its methods, services of the framework
// included, sorted by name. The error is always nil.
func (s *SGServer) Services(context.Context) ([]protocol.ServiceInfo, error) {
	return s.table.Services(), nil
}

// maxRegisteredSchemas bounds the schemas in what is registered, in bytes: a
// registry writes an entry anew with every refresh.
const maxRegisteredSchemas = 8 << 10

// services is the same list for a registry, but for what every server has, and
// without the schemas that are too much for one.
func services(t *endpoint.Table) []registry.Service {
	var list []registry.Service
	left := maxRegisteredSchemas
	for _, info := range t.Services() {
		if protocol.IsFrameworkService(info.Name) {
			continue
		}
		service := registry.Service{Name: info.Name}
		for _, m := range info.Methods {
			if size := len(m.RequestSchema) + len(m.ResponseSchema); size <= left {
				left -= size
			} else {
				m.RequestSchema, m.ResponseSchema = "", ""
			}
			service.Methods = append(service.Methods, registry.Method(m))
		}
		list = append(list, service)
	}
	return list
}
