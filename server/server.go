package server

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sinew-rpc/sinew/internal/endpoint"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/transport"
)

// SGServer serves registered methods on any number of addresses. Make it with
// NewSGServer. All methods may run concurrently.
//
// It starts goroutines for each connection (see transport.Session), for the
// requests being served, for each TLS handshake, and one for each registration.
// Serve returns when all of them have ended.
type SGServer struct {
	option     Option // prepared; never changed
	table      endpoint.Table
	dispatcher endpoint.Dispatcher
	sessions   transport.SessionConfig
	turnsAway  transport.SessionConfig // of connections beyond MaxConnections
	room       *transport.Room
	workers    transport.Workers
	plain      endpoint.Caller // for peers that announced no CompressType of ours
	small      endpoint.Caller // for those that did
	stats      transport.Stats
	admission  *admission
	local      atomic.Uint64 // requests that came by Do

	made    time.Time
	dialUDP func(ctx context.Context, network, addr string) (net.Conn, error) // tells the way there

	ctx    context.Context // ends when the server does
	cancel context.CancelCauseFunc

	listening     chan struct{} // closed by listeningOnce
	listeningOnce sync.Once
	drained       chan struct{} // closed when a drain has no connection left, or the server ends
	ended         chan struct{} // closed when end has cut off what was left
	gone          chan struct{} // closed when every goroutine has ended
	accepting     sync.WaitGroup
	handshakes    sync.WaitGroup
	drainOnce     sync.Once
	askedDrain    sync.WaitGroup // the drain that a client asked for

	mu sync.Mutex
	// Guarded by mu:
	phase         phase
	listeners     []net.Listener
	peers         map[*transport.Session]*Peer
	identities    map[string][]*Peer
	connections   int               // accepted and not yet ended, those beyond the bound not counted
	taken         uint64            // accepted, ever
	turnedAway    int               // beyond the bound, until they have ended
	beyond        uint64            // turned away or cut for want of a place, ever
	carried       transport.Traffic // by connections that have been forgotten
	registrations []*registration
	drain         drain
}

// phase is how far a server has come. It only grows.
type phase uint8

const (
	serving phase = iota
	draining
	closed
)

// NewSGServer makes a server. A nil option is a zero one. The error names the
// field of Option that is wrong. Nothing is started until Serve.
func NewSGServer(option *Option) (*SGServer, error) {
	o, err := option.prepare()
	if err != nil {
		return nil, err
	}
	s := &SGServer{
		option:     o,
		made:       time.Now(),
		room:       transport.NewRoom(o.MaxRequestsInFlight, o.MaxBytesInFlight),
		listening:  make(chan struct{}),
		drained:    make(chan struct{}),
		ended:      make(chan struct{}),
		gone:       make(chan struct{}),
		peers:      make(map[*transport.Session]*Peer),
		identities: make(map[string][]*Peer),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.dialUDP = new(net.Dialer).DialContext
	s.table.CheckType = protocol.CheckTags
	s.plain = endpoint.Caller{
		SerializeType:  o.SerializeType,
		MaxElements:    o.MaxElements,
		MaxMessageSize: o.MaxMessageSize,
	}
	s.small = endpoint.Caller{
		SerializeType:     o.SerializeType,
		CompressType:      o.CompressType,
		CompressThreshold: o.CompressThreshold,
		MaxElements:       o.MaxElements,
		MaxMessageSize:    o.MaxMessageSize,
	}
	s.admission = newAdmission(&o)
	s.dispatcher = endpoint.Dispatcher{
		Methods:           &s.table,
		Chain:             s.wrapRequests(s.serveRequest),
		Admission:         s.admission.hook(),
		OnHello:           s.onHello,
		MaxElements:       o.MaxElements,
		MaxMessageSize:    o.MaxMessageSize,
		CompressThreshold: o.CompressThreshold,
		CompressType:      o.CompressType,
		Room:              s.room,
	}
	s.sessions, s.turnsAway = s.sessionConfig(), s.sessionConfig()
	s.turnsAway.Leaving = fmt.Sprintf("%d connections are served already (MaxConnections)", o.MaxConnections)
	if err := s.registerOwn(); err != nil {
		return nil, err
	}
	return s, nil
}

// serveRequest is the end of the chain.
func (s *SGServer) serveRequest(ctx context.Context, req, res *protocol.Message) error {
	return s.dispatcher.Serve(ctx, req, res)
}

func (s *SGServer) sessionConfig() transport.SessionConfig {
	return transport.SessionConfig{
		Handler:        &s.dispatcher,
		Workers:        &s.workers,
		Room:           s.room,
		MaxRequests:    s.option.MaxRequestsPerConnection,
		Intern:         s.table.Intern,
		MaxMessageSize: s.option.MaxMessageSize,
		FrameTimeout:   s.option.FrameTimeout,
		WriteTimeout:   s.option.WriteTimeout,
		ReadPause:      s.option.ReadPause,
		Hello:          s.hello(),
		OnStart:        s.onStart,
		OnEnd:          s.onEnd,
		Stats:          &s.stats,
	}
}

// hello is what every connection is told first: what this side takes.
func (s *SGServer) hello() map[string]string {
	var names []string
	for t := protocol.CompressTypeNone + 1; t != 0; t++ { // until it wraps round
		if _, ok := protocol.CompressorOf(t); ok {
			names = append(names, protocol.CompressorName(t))
		}
	}
	slices.Sort(names)
	return map[string]string{
		protocol.MetaCompress:   strings.Join(names, ","),
		protocol.MetaMaxMessage: strconv.Itoa(s.option.MaxMessageSize),
	}
}

// Register serves the handlers of rcvr under the name of its type: its exported
// methods of the form
//
//	func(ctx context.Context, req *Req, reply *Resp) error
//
// A pointer is kept, a value copied. It fails when there is no such method, and
// says of each exported one what is wrong with it; when the type's name is not
// exported; and when the name is taken. It may be called while serving.
func (s *SGServer) Register(rcvr any) error { return s.RegisterName("", rcvr) }

// RegisterName is Register under a name of its own: [A-Za-z_][A-Za-z0-9_.-]*,
// at most 255 bytes, not beginning with "sinew.".
func (s *SGServer) RegisterName(name string, rcvr any) error {
	if err := s.table.Register(name, rcvr); err != nil {
		return err
	}
	s.servicesChanged()
	return nil
}

// Handle serves f as name, "Service.Method"; the service is what stands before
// the last dot. It fails when the name is not of that form or is taken, or f is
// nil. A nil reply without an error is answered as Internal. It may be called
// while serving.
func Handle[Req, Resp any](s *SGServer, name string, f func(context.Context, *Req) (*Resp, error)) error {
	if err := s.table.Handle(name, endpoint.NewTyped(f)); err != nil {
		return err
	}
	s.servicesChanged()
	return nil
}

// Listening returns a channel that is closed when the first listener listens,
// and when a Serve fails or the server ends before that.
func (s *SGServer) Listening() <-chan struct{} { return s.listening }

func (s *SGServer) announceListening() { s.listeningOnce.Do(func() { close(s.listening) }) }

// Addr returns the address of the first listener; nil where none listens.
func (s *SGServer) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listeners) == 0 {
		return nil
	}
	return s.listeners[0].Addr()
}
