package server

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/internal/log"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// Peer is a client that is connected: a server can call it on its connection.
// All methods may run concurrently.
type Peer struct {
	server  *SGServer
	session *transport.Session

	// Guarded by server.mu:
	place      place
	awaited    bool        // a drain waits for its end
	identities []string    // accepted ones; replaced, never changed
	aging      *time.Timer // until the connection is too old; nil where that does not matter
}

// PeerFrom returns the client whose request ctx belongs to, also in Admit and
// Identify; nil where the request came from a gateway beside the server.
func PeerFrom(ctx context.Context) *Peer {
	session := transport.FromContext(ctx)
	if session == nil {
		return nil
	}
	p, _ := session.Owner().(*Peer)
	return p
}

// Peers returns the connected clients of an identity, in the order in which it
// was accepted; those whose connection is about to end, since either side has said
// goaway, come last. One process may be there more than once, by several connections.
// The identity of a client is known some time after it connected: see
// Option.Identify.
func (s *SGServer) Peers(identity string) []*Peer {
	s.mu.Lock()
	peers := slices.Clone(s.identities[identity])
	s.mu.Unlock()
	staying, leaving := peers[:0], []*Peer(nil)
	for _, p := range peers {
		if p.session.Usable() {
			staying = append(staying, p)
		} else {
			leaving = append(leaving, p)
		}
	}
	return append(staying, leaving...)
}

// Identity returns the identities of the client that Option.Identify accepted,
// none before it did. The slice is the caller's.
func (p *Peer) Identity() []string {
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	return slices.Clone(p.identities)
}

// RemoteAddr returns the client's address: that of the connection, or what a
// balancer said of it (see transport/proxyproto).
func (p *Peer) RemoteAddr() net.Addr { return p.session.RemoteAddr() }

// Context returns a context that ends with the connection.
func (p *Peer) Context() context.Context { return p.session }

// errPeerClosed is the cause of errors after Peer.Close.
var errPeerClosed = errors.New("server: the server closed this connection")

// Close ends the connection now. Requests of this client that are being served
// have their context cancelled, calls to it get an error with their outcome. It
// does not wait, and returns nil.
func (p *Peer) Close() error {
	p.session.Fail(errPeerClosed)
	return nil
}

// Call calls a method that the client serves and decodes the reply into resp,
// which may be nil. It ends at the deadline of ctx or after
// Option.RequestTimeout, whichever is earlier. The error is a *protocol.Error
// with its outcome, NotSent when the connection is gone. While the server
// drains, only a handler may call the client whose request it serves, with its
// own context.
func (p *Peer) Call(ctx context.Context, serviceMethod string, req, resp any) error {
	return p.call(ctx, serviceMethod, req, resp)
}

// Notify calls a method that the client serves and wants no answer: nil means
// that the request is written to the socket. Otherwise it is as Call.
func (p *Peer) Notify(ctx context.Context, serviceMethod string, req any) error {
	return p.call(ctx, serviceMethod, req, endpoint.Oneway)
}

func (p *Peer) call(ctx context.Context, serviceMethod string, req, resp any) error {
	service, method, ok := protocol.SplitName(serviceMethod)
	if !ok {
		return protocol.Errorf(protocol.InvalidArgument, `%.128q is no "Service.Method"`, serviceMethod).WithOutcome(protocol.NotSent)
	}
	bound := endpoint.Bound(ctx, p.server.option.RequestTimeout)
	defer bound.End()
	return p.caller().Call(bound, p.session, service, method, req, resp, nil)
}

func (p *Peer) caller() *endpoint.Caller {
	s := p.server
	if t := s.option.CompressType; t != protocol.CompressTypeNone && p.session.PeerAccepts(protocol.CompressorName(t)) {
		return &s.small
	}
	return &s.plain
}

// onHello learns on a worker who the client says it is.
func (s *SGServer) onHello(session *transport.Session, h *protocol.Header) {
	claim := h.MetaData[protocol.MetaIdentity]
	p, _ := session.Owner().(*Peer)
	if claim == "" || s.option.Identify == nil || p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(p.Context(), s.option.FrameTimeout)
	defer cancel()
	accepted, err := s.identify(ctx, h, strings.Split(claim, ","))
	if err != nil {
		log.Warningf("server: the identity of %s is not accepted: %v", session.RemoteAddr(), err)
		return
	}
	if ctx.Err() != nil {
		log.Warningf("server: the identity of %s was accepted too late: %v", session.RemoteAddr(), context.Cause(ctx))
		return
	}
	s.setIdentities(p, accepted)
}

// identify asks Option.Identify; a panic in it accepts nothing.
func (s *SGServer) identify(ctx context.Context, h *protocol.Header, claimed []string) (accepted []string, err error) {
	defer func() {
		if v := recover(); v != nil {
			log.Errorf("server: Identify panicked: %v\n%s", v, debug.Stack())
			accepted, err = nil, protocol.Errorf(protocol.Internal, "Identify panicked: %v", v)
		}
	}()
	return s.option.Identify(ctx, h, claimed)
}

func (s *SGServer) setIdentities(p *Peer, accepted []string) {
	own := slices.Clone(accepted)
	slices.Sort(own)
	own = slices.Compact(own)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers[p.session] != p {
		return // it has gone meanwhile
	}
	p.identities = own
	for _, id := range own {
		s.identities[id] = append(s.identities[id], p)
	}
}
