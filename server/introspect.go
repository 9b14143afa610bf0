package server

import (
	"context"
	"errors"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
)

// modulePath is what build information calls this module.
const modulePath = "github.com/sinew-rpc/sinew"

// registerOwn serves the framework's own methods, through the same chain as all
// others.
func (s *SGServer) registerOwn() error {
	return errors.Join(
		s.table.HandleInternal(protocol.MethodStatus, endpoint.NewTyped(s.status)),
		s.table.HandleInternal(protocol.MethodServices, endpoint.NewTyped(s.serviceList)),
		s.registerAdmin(),
	)
}

func (s *SGServer) serviceList(context.Context, *protocol.ServicesRequest) (*protocol.ServiceList, error) {
	return &protocol.ServiceList{Services: s.table.Services()}, nil
}

func (s *SGServer) status(context.Context, *protocol.StatusRequest) (*protocol.ServerStatus, error) {
	stats := s.Stats()
	return &protocol.ServerStatus{
		Started:             s.made,
		Draining:            s.leaving(),
		Tags:                s.option.Tags,
		Versions:            versions(),
		Limits:              s.limits(),
		Connections:         stats.Connections,
		RequestsInFlight:    stats.RequestsInFlight,
		BytesInFlight:       stats.BytesInFlight,
		ConnectionsAccepted: stats.ConnectionsAccepted,
		Requests:            stats.Requests,
		Refused:             stats.Refused.total(),
		Panics:              stats.Panics,
		BytesRead:           stats.BytesRead,
		BytesWritten:        stats.BytesWritten,
	}, nil
}

func (r *Refusals) total() uint64 {
	return r.Unknown + r.Unreadable + r.Tags + r.Admission + r.Size + r.Room + r.Draining + r.Expired
}

func (s *SGServer) leaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase != serving
}

// limits returns what bounds the server. What is switched off is 0 there.
func (s *SGServer) limits() protocol.ServerLimits {
	o := &s.option
	limits := protocol.ServerLimits{
		MaxConnections:           o.MaxConnections,
		MaxRequestsInFlight:      o.MaxRequestsInFlight,
		MaxRequestsPerConnection: o.MaxRequestsPerConnection,
		MaxBytesInFlight:         o.MaxBytesInFlight,
		MaxMessageSize:           o.MaxMessageSize,
		MaxElements:              max(0, o.MaxElements),
		MaxConnectionAge:         max(0, o.MaxConnectionAge),
		ShutDownWait:             o.ShutDownWait,
	}
	if limits.MaxConnections == math.MaxInt {
		limits.MaxConnections = 0
	}
	if limits.ShutDownWait == forever {
		limits.ShutDownWait = 0
	}
	return limits
}

// versions reads what was linked into this program, once.
var versions = sync.OnceValue(func() protocol.Versions {
	v := protocol.Versions{Sinew: "(devel)", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Main = strings.TrimSpace(info.Main.Path + " " + info.Main.Version)
	if info.Main.Path == modulePath && info.Main.Version != "" {
		v.Sinew = info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == modulePath {
			v.Sinew = dep.Version
		}
	}
	return v
})
