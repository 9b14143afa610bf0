package server

import (
	"context"
	"errors"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
)

// AdminAuthorizeFunc decides whether the caller of a method of sinew.Admin, such as
// protocol.MethodDrain, may do that; an error is its answer: a *protocol.Error as it
// is, any other as PermissionDenied. ctx is the handler's: PeerFrom, TLSState and
// protocol.MetaFrom work on it. It may wait, and runs concurrently.
type AdminAuthorizeFunc func(ctx context.Context, method string) error

// registerAdmin serves sinew.Admin where somebody decides who may call it.
func (s *SGServer) registerAdmin() error {
	if s.option.AdminAuthorize == nil {
		return nil
	}
	return s.table.HandleInternal(protocol.MethodDrain, endpoint.NewTyped(s.drainOnRequest))
}

// drainOnRequest begins to drain and answers; the drain goes on by itself, once.
func (s *SGServer) drainOnRequest(ctx context.Context, _ *protocol.DrainRequest) (*protocol.DrainReply, error) {
	if err := s.authorizeAdmin(ctx, protocol.MethodDrain); err != nil {
		return nil, err
	}
	stats := s.Stats()
	s.drainOnce.Do(func() {
		log.Infof("server: drains since %s asked for it", asker(ctx))
		s.askedDrain.Go(s.drainAsAsked) // a worker runs, so nobody has waited yet
	})
	return &protocol.DrainReply{Connections: stats.Connections, RequestsInFlight: stats.RequestsInFlight}, nil
}

// drainAsAsked has a goroutine of its own, since Shutdown waits for handlers. Serve
// waits for it.
func (s *SGServer) drainAsAsked() {
	if err := s.Shutdown(context.Background()); err != nil {
		log.Warningf("%v", err)
	}
}

func (s *SGServer) authorizeAdmin(ctx context.Context, method string) error {
	err := s.option.AdminAuthorize(ctx, method)
	var e *protocol.Error
	if err == nil || errors.As(err, &e) && e != nil {
		return err
	}
	return protocol.Errorf(protocol.PermissionDenied, "%s: %w", method, err)
}

// asker is whose request ctx is, for a log.
func asker(ctx context.Context) string {
	if p := PeerFrom(ctx); p != nil {
		return p.RemoteAddr().String()
	}
	return "somebody by a gateway"
}
